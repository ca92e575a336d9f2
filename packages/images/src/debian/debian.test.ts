import { expect, test } from "vitest";
import { makeDeb } from "../testing/packages.ts";
import { DependencyIndex } from "./dependency-index.ts";
import { pinnedDebian } from "./pinned-debian.ts";
import { debianRecipes } from "./recipes.ts";
import type { DebianImageName } from "./recipes.ts";
import { parseRelations, satisfies } from "./relation.ts";
import { resolvePackages } from "./resolve-packages.ts";
import { debianTree } from "./unpack-debs.ts";

/** An index of packages, each "name fields". */
function index(packages: Readonly<Record<string, string>>): DependencyIndex {
  const paragraphs = Object.entries(packages).map(([name, fields]) =>
    [
      `Package: ${name}`,
      fields.includes("Version:") ? "" : "Version: 1.0-1",
      `Filename: pool/${name}.deb`,
      `Size: 1`,
      `SHA256: ${"0".repeat(64)}`,
      fields,
    ]
      .filter((line) => line !== "")
      .join("\n"),
  );
  return new DependencyIndex(paragraphs.join("\n\n"), "test");
}
const names = (packages: Readonly<Record<string, string>>, wanted: string[], without?: string[]) =>
  resolvePackages(index(packages), wanted, without).map(({ name }) => name);

test("relations with versions, architectures and alternatives → read; versions compared", () => {
  const [[a, b] = [], [c] = []] = parseRelations("libx:any (>= 1:2.0~) [amd64] | y <!nocheck>, z");
  expect([a, b, c]).toEqual([
    { name: "libx", operator: ">=", version: "1:2.0~" },
    { name: "y" },
    { name: "z" },
  ]);
  expect(satisfies("1:2.0~rc1", { name: "x", operator: ">=", version: "1:2.0~" })).toBe(true);
  expect(satisfies("1.9", { name: "x", operator: ">>", version: "1.9" })).toBe(false);
  expect(satisfies(undefined, { name: "x", operator: "=", version: "1" })).toBe(false);
});

test("dependencies of dependencies → all of them once, in the order of their names", () => {
  const all = {
    a: "Depends: c, b",
    b: "Pre-Depends: c (>= 1.0)",
    c: "Depends: a",
    d: "Recommends: a",
  };
  expect(names(all, ["a"])).toEqual(["a", "b", "c"]);
  expect(names(all, ["d"])).toEqual(["d"]);
});

test("alternatives → the one wanted anyway, else the first there; virtual ones by who provides them", () => {
  const all = {
    app: "Depends: gone | small | large",
    small: "Description: x",
    large: "Description: x",
    user: "Depends: virtual",
    versioned: "Depends: virtual (>= 2)",
    one: "Provides: virtual",
    two: "Provides: virtual (= 2.5)",
  };
  expect(names(all, ["app"])).toEqual(["app", "small"]);
  expect(names(all, ["app", "large"])).toEqual(["app", "large"]);
  expect(names(all, ["user"])).toEqual(["one", "user"]);
  expect(names(all, ["versioned"])).toEqual(["two", "versioned"]);
  expect(names(all, ["app"], ["small"])).toEqual(["app"]);
});

test("what cannot be → QZ_IMAGES_UNRESOLVED with the reason", () => {
  const all = {
    a: "Depends: gone",
    b: "Depends: c (>= 2)",
    c: "Conflicts: d",
    d: "Description: x",
    e: "Breaks: f (<< 2)",
    f: "Version: 2.0-1",
  };
  const wanted = [["none"], ["a"], ["b"], ["c", "d"]];
  for (const each of wanted) {
    expect(() => names(all, each)).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_UNRESOLVED" }),
    );
  }
  expect(names(all, ["e", "f"])).toEqual(["e", "f"]);
});

test("the pinned packages of each image → all it names, none left out on purpose, each once", () => {
  for (const image of Object.keys(debianRecipes) as DebianImageName[]) {
    const pinned = pinnedDebian(image);
    const found = pinned.map(({ name }) => name);
    expect(found).toEqual([...new Set(found)].sort());
    expect(found).toEqual(expect.arrayContaining([...debianRecipes[image].packages, "libc6"]));
    for (const left of debianRecipes[image].without) expect(found).not.toContain(left);
    for (const { sha256, path } of pinned) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(path).toMatch(/^pool\/main\/[^ ]+\.deb$/);
    }
  }
});

test("packages → a merged /usr, dpkg's database, settings; documentation stays out, licences in", async () => {
  const control = (name: string, more = "") =>
    `Package: ${name}\nVersion: 1.0-1\nArchitecture: amd64\n${more}Description: x\n`;
  const shell = await makeDeb(
    {
      "bin/dash": "dash",
      "etc/shell.conf": "x",
      "usr/share/doc/dash/README": "x",
      "usr/share/doc/dash/copyright": "x",
      "usr/share/man/man1/dash.1": "x",
    },
    "gz",
    { control: control("dash"), postinst: "#!/bin/sh\n", conffiles: "/etc/shell.conf\n" },
  );
  const lib = await makeDeb({ "usr/lib/libx.so": "x" }, "zst", {
    control: control("libx", "Multi-Arch: same\n"),
  });
  const tree = await debianTree([
    { name: "dash", bytes: async () => shell },
    { name: "libx", bytes: async () => lib },
  ]);
  const paths = new Set([...tree.walk()].map(({ path }) => path));
  expect(tree.find("bin", { followLast: false })).toMatchObject({ target: "usr/bin" });
  for (const path of [
    "usr/bin/dash",
    "usr/bin/sh",
    "usr/lib/libx.so",
    "usr/share/doc/dash/copyright",
    "etc/apt/sources.list",
    "var/lib/dpkg/info/dash.postinst",
    "var/lib/dpkg/info/libx:amd64.list",
  ]) {
    expect([path, paths.has(path)]).toEqual([path, true]);
  }
  expect(paths.has("usr/share/doc/dash/README")).toBe(false);
  expect(paths.has("usr/share/man/man1/dash.1")).toBe(false);
  const text = async (path: string) => {
    const node = tree.find(path);
    const chunks: Uint8Array[] = [];
    if (node?.type === "file") for await (const chunk of node.content.read()) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  expect(await text("var/lib/dpkg/status")).toBe(
    [
      "Package: dash",
      "Status: install ok unpacked",
      "Version: 1.0-1",
      "Architecture: amd64",
      "Description: x",
      "Conffiles:",
      " /etc/shell.conf newconffile",
      "",
      "Package: libx",
      "Status: install ok unpacked",
      "Version: 1.0-1",
      "Architecture: amd64",
      "Multi-Arch: same",
      "Description: x",
      "",
    ].join("\n"),
  );
  expect(await text("var/lib/dpkg/info/dash.list")).toContain("/usr/share/man/man1/dash.1\n");
});

test("a damaged package → QZ_IMAGES_BAD_PACKAGE", async () => {
  const deb = await makeDeb({ "usr/bin/x": "x".repeat(5000) }, "none", { control: "Package: x\n" });
  const cut = deb.subarray(0, deb.length - 3000);
  for (const bytes of [cut, new Uint8Array(100), new Uint8Array(0)]) {
    await expect(debianTree([{ name: "x", bytes: async () => bytes }])).rejects.toMatchObject({
      code: "QZ_IMAGES_BAD_PACKAGE",
    });
  }
});
