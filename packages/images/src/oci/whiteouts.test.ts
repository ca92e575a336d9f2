import { expect, test } from "vitest";
import { chunksOf, makeTar } from "../testing/tars.ts";
import type { TarInput } from "../testing/tars.ts";
import { FileTree } from "../tree/file-tree.ts";
import { applyLayer } from "./whiteouts.ts";

async function layers(...all: readonly (readonly TarInput[])[]): Promise<string[]> {
  const tree = new FileTree();
  for (const layer of all) await applyLayer(chunksOf(await makeTar(layer)), tree);
  return [...tree.walk()].map(({ path }) => path).slice(1);
}

const lower = [
  { name: "etc/" },
  { name: "etc/a", body: "a" },
  { name: "etc/b", body: "b" },
  { name: "opt/app/old", body: "old" },
];

test("a whiteout → what lower layers have under the name is gone, a folder with all in it", async () => {
  expect(await layers(lower, [{ name: "etc/.wh.a" }, { name: ".wh.opt" }])).toEqual([
    "etc",
    "etc/b",
  ]);
});

test("an opaque whiteout, before or after the layer's own files → only those stay", async () => {
  const opaque = { name: "opt/app/.wh..wh..opq" };
  const own = [{ name: "opt/app/" }, { name: "opt/app/new", body: "new" }];
  const after = ["opt", "opt/app", "opt/app/new"];
  expect((await layers(lower, [opaque, ...own])).slice(3)).toEqual(after);
  expect((await layers(lower, [...own, opaque])).slice(3)).toEqual(after);
});

test("a whiteout after a file of the same layer → the file stays", async () => {
  const own = [{ name: "etc/a", body: "new" }, { name: "etc/.wh.a" }];
  expect(await layers(lower, own)).toContain("etc/a");
});

test("a whiteout that climbs → QZ_IMAGES_BAD_PATH; of what is not there → nothing happens", async () => {
  await expect(layers(lower, [{ name: "etc/.wh...", body: "" }])).rejects.toMatchObject({
    code: "QZ_IMAGES_BAD_PATH",
  });
  expect(await layers(lower, [{ name: "none/.wh.x" }])).toHaveLength(6);
});

test("a directory over a link of a lower layer → takes its place", async () => {
  const linked = [{ name: "d/" }, { name: "l", type: "symlink" as const, linkname: "d" }];
  expect(await layers(linked, [{ name: "l/" }, { name: "l/x", body: "x" }])).toEqual([
    "d",
    "l",
    "l/x",
  ]);
});
