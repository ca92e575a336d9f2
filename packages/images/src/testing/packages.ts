import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as xz from "@napi-rs/lzma/xz";
import { packTar } from "modern-tar";
import type { DebianPackage } from "../package-index.ts";

const utf8 = new TextEncoder();

/** An ar archive of members. */
export function makeAr(members: readonly { name: string; data: Uint8Array }[]): Uint8Array {
  const parts = members.flatMap(({ name, data }) => [
    utf8.encode(
      `${name.padEnd(16)}${"0".padEnd(12)}0     0     100644  ${String(data.length).padEnd(10)}\`\n`,
    ),
    data,
    utf8.encode(data.length % 2 === 1 ? "\n" : ""),
  ]);
  return Buffer.concat([utf8.encode("!<arch>\n"), ...parts]);
}

/** How data.tar is compressed. */
export type TarCompression = "xz" | "gz" | "zst" | "none";

const COMPRESS: Record<TarCompression, (tar: Uint8Array) => Uint8Array | Promise<Uint8Array>> = {
  xz: (tar) => xz.compress(tar),
  gz: (tar) => gzipSync(tar),
  zst: (tar) => zstdCompressSync(tar),
  none: (tar) => tar,
};

/** A tar archive of small files, named as dpkg-deb names them. */
async function packFiles(files: Readonly<Record<string, string>>): Promise<Uint8Array> {
  return await packTar(
    Object.entries(files).map(([path, body]) => ({
      header: { name: `./${path}`, size: utf8.encode(body).length, type: "file" as const },
      body,
    })),
  );
}

/** A .deb with the given files, named as dpkg-deb names them: "./path". */
export async function makeDeb(
  files: Readonly<Record<string, string | Uint8Array>>,
  compression: TarCompression = "xz",
  control: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const entries = Object.entries(files).map(([path, content]) => {
    const body = typeof content === "string" ? utf8.encode(content) : content;
    return { header: { name: `./${path}`, size: body.length, type: "file" as const }, body };
  });
  const tar = await packTar([
    { header: { name: "./", size: 0, type: "directory" } },
    ...entries,
    { header: { name: "./link", size: 0, type: "symlink", linkname: "nowhere" } },
  ]);
  const suffix = compression === "none" ? "" : `.${compression}`;
  return makeAr([
    { name: "debian-binary", data: utf8.encode("2.0\n") },
    { name: "control.tar.xz", data: await xz.compress(await packFiles(control)) },
    { name: `data.tar${suffix}`, data: await COMPRESS[compression](tar) },
  ]);
}

/** A kernel module: an ELF object with nothing but its .modinfo. */
export function makeModule(fields: readonly string[], bits: 32 | 64 = 64): Uint8Array {
  const wide = bits === 64;
  const modinfo = utf8.encode(fields.map((field) => `${field}\0`).join(""));
  const names = utf8.encode("\0.modinfo\0.shstrtab\0");
  const namesAt = 64 + modinfo.length;
  const headersAt = Math.ceil((namesAt + names.length) / 8) * 8;
  const sectionBytes = wide ? 64 : 40;
  const bytes = new Uint8Array(headersAt + 3 * sectionBytes);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number) =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 1, true);
  view.setUint16(18, wide ? 62 : 3, true);
  word(wide ? 40 : 32, headersAt);
  [sectionBytes, 3, 2].forEach((value, i) => view.setUint16((wide ? 58 : 46) + 2 * i, value, true));
  const section = (index: number, name: number, at: number, length: number) => {
    const base = headersAt + index * sectionBytes;
    view.setUint32(base, name, true);
    word(base + (wide ? 24 : 16), at);
    word(base + (wide ? 32 : 20), length);
  };
  section(1, 1, 64, modinfo.length);
  section(2, 10, namesAt, names.length);
  bytes.set(modinfo, 64);
  bytes.set(names, namesAt);
  return bytes;
}

/** The index entry of a .deb. */
export function describe(name: string, deb: Uint8Array, version = "1.0-1"): DebianPackage {
  return {
    name,
    version,
    sha256: createHash("sha256").update(deb).digest("hex"),
    size: deb.length,
    path: `pool/${name}_${version}.deb`,
    depends: [],
  };
}

/** A bzImage that holds a tiny ELF kernel, not compressed. */
export function makeBzImage(): Uint8Array {
  const elf = new Uint8Array(128);
  const header = new DataView(elf.buffer);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.setUint16(16, 2, true);
  header.setUint16(18, 62, true);
  const bytes = new Uint8Array(1024 + elf.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, 1);
  view.setUint16(0x1fe, 0xaa55, true);
  bytes.set([0xeb, 0x6a], 0x200);
  bytes.set(utf8.encode("HdrS"), 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x230, 0x20_0000, true);
  view.setUint16(0x236, 1, true);
  view.setUint32(0x24c, elf.length, true);
  bytes.set(elf, 1024);
  return bytes;
}
