import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { debianRecipes } from "../debian/recipes.ts";
import { debugfs, e2fsprogsMissing, fsck } from "../testing/e2fsprogs.ts";
import { describe as describePackage, makeDeb } from "../testing/packages.ts";
import { sha256 } from "./cache.ts";
import { debianDisk } from "./debian-disk.ts";
import type { Fetching } from "./fetch-packages.ts";
import type { PackageSource } from "./package-source.ts";
import type { ImageProgress } from "./progress.ts";

const names = ["base-files", ...debianRecipes.debian.packages];
const debs = new Map<string, Uint8Array>();
for (const name of names) {
  const files = { [`usr/share/${name}/data`]: name, "usr/bin/dash": "dash" };
  debs.set(name, await makeDeb(files, "gz", { control: `Package: ${name}\nVersion: 1.0-1\n` }));
}
const packages = [...debs].map(([name, deb]) => describePackage(name, deb));
const index = packages
  .map(({ name, version, sha256: sum, size, path }) =>
    [
      `Package: ${name}`,
      `Version: ${version}`,
      name === "base-files" ? "Essential: yes" : "Priority: optional",
      `Filename: ${path}`,
      `Size: ${size}`,
      `SHA256: ${sum}`,
    ].join("\n"),
  )
  .join("\n\n");

let home: string;
let fetched: string[];
let steps: Set<ImageProgress["step"]>;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "queztl-debian-disk-"));
  fetched = [];
  steps = new Set();
});
afterEach(() => rm(home, { recursive: true, force: true }));

const source = (more: Partial<PackageSource> = {}): PackageSource => ({
  name: "test",
  newest: async () => undefined,
  index: async () => index,
  fetch: async ({ name }) => {
    fetched.push(name);
    return debs.get(name) ?? new Uint8Array();
  },
  ...more,
});
const fetching = (sources: readonly PackageSource[]): Fetching => ({
  home,
  sources,
  signal: undefined,
  onProgress: ({ step }) => steps.add(step),
});
const build = (...sources: readonly PackageSource[]) =>
  debianDisk("debian", { versions: "newest", freeBytes: 1 << 20 }, fetching(sources));

test("several builders at once → one builds, each package is fetched once, the disk is clean", async () => {
  const folders = await Promise.all([build(source()), build(source()), build(source())]);
  expect(new Set(folders).size).toBe(1);
  expect(fetched.sort()).toEqual([...names].sort());
  expect(steps).toContain("wait");
  expect((await readdir(join(home, "images"))).sort()).toEqual([
    ".locks",
    expect.stringMatching(/^debian@[0-9a-f]{12}$/),
  ]);
  const folder = folders[0] ?? "";
  expect(await readdir(folder)).toEqual(expect.arrayContaining(["disk.ext4", "image.json"]));
  expect(await readdir(folder)).not.toContain("spool");
  if (e2fsprogsMissing !== undefined) return;
  await fsck(join(folder, "disk.ext4"));
  expect(await debugfs(join(folder, "disk.ext4"), "cat /usr/share/apt/data")).toBe("apt");
});

test("there already → neither fetched nor built; altered → built again, the same", async () => {
  const folder = await build(source());
  const disk = join(folder, "disk.ext4");
  const before = sha256(await readFile(disk));
  steps.clear();
  await build(source({ fetch: () => Promise.reject(new Error("offline")) }));
  for (const step of ["download", "unpack", "write"]) expect(steps).not.toContain(step);
  await writeFile(disk, "altered");
  await build(source({ fetch: () => Promise.reject(new Error("offline")) }));
  expect(sha256(await readFile(disk))).toBe(before);
});

test("a source that has many at once → asked once; what it lacks or alters is fetched singly", async () => {
  const asked: number[] = [];
  const many = source({
    fetchMany: async (wanted) => {
      asked.push(wanted.length);
      const some = wanted.slice(2).flatMap(({ name, sha256: sum }) => {
        const deb = debs.get(name);
        return deb ? [[sum, deb] as const] : [];
      });
      return new Map([...some, [wanted[0]?.sha256 ?? "", new Uint8Array([1])]]);
    },
  });
  await build(many);
  expect(asked).toEqual([names.length]);
  expect(fetched).toHaveLength(2);
});

test("no source with an index → QZ_IMAGES_UNAVAILABLE; a package altered → QZ_IMAGES_CHECKSUM", async () => {
  const refusing = source({ index: () => Promise.reject(new Error("it has none")) });
  await expect(build(refusing)).rejects.toMatchObject({ code: "QZ_IMAGES_UNAVAILABLE" });
  const altering = source({ fetch: async () => new Uint8Array([1]) });
  await expect(build(altering)).rejects.toMatchObject({ code: "QZ_IMAGES_CHECKSUM" });
  expect(await readdir(join(home, "images"))).toEqual([".locks"]);
});
