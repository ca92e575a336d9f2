import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import type { TarHeader } from "modern-tar";
import { streamOf } from "../byte-stream.ts";

/** An entry for `makeTar`: text is a file's content. */
export type TarInput = Partial<TarHeader> & { readonly name: string; readonly body?: string };

/** A tar archive made by another implementation than ours. */
export async function makeTar(entries: readonly TarInput[]): Promise<Uint8Array> {
  const mtime = new Date(1_700_000_000_000);
  return await packTar(
    entries.map(({ body = "", ...header }) => {
      const size = Buffer.byteLength(body);
      const type = header.type ?? (header.name.endsWith("/") ? "directory" : "file");
      return { header: { mtime, ...header, type, size }, ...(size > 0 && { body }) };
    }),
  );
}

/** Bytes as an asynchronous stream of odd chunks. */
export async function* chunksOf(bytes: Uint8Array, length = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export { streamOf };

/** Writes an OCI image layout with layers of the given entries. */
export async function makeLayout(
  folder: string,
  layers: readonly (readonly TarInput[])[],
  options: { readonly architecture?: string; readonly names?: readonly string[] } = {},
): Promise<{ layerPaths: string[] }> {
  const { architecture = "amd64", names = ["latest"] } = options;
  const blobs = join(folder, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (bytes: Uint8Array, mediaType: string) => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    await writeFile(join(blobs, digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const descriptors = [];
  for (const layer of layers) {
    const tar = gzipSync(await makeTar(layer));
    descriptors.push(await put(tar, "application/vnd.oci.image.layer.v1.tar+gzip"));
  }
  const config = await put(
    json({
      architecture,
      os: "linux",
      config: { Entrypoint: ["/bin/app"], Cmd: ["--serve"], Env: ["A=b"], WorkingDir: "/srv" },
    }),
    "application/vnd.oci.image.config.v1+json",
  );
  const manifests = [];
  for (const name of names) {
    const manifest = { schemaVersion: 2, config, layers: descriptors, annotations: { name } };
    const descriptor = await put(json(manifest), "application/vnd.oci.image.manifest.v1+json");
    const annotations = { "org.opencontainers.image.ref.name": name };
    manifests.push({ ...descriptor, annotations });
  }
  await writeFile(join(folder, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  await writeFile(join(folder, "index.json"), json({ schemaVersion: 2, manifests }));
  return { layerPaths: descriptors.map(({ digest }) => join(blobs, digest.slice(7))) };
}
