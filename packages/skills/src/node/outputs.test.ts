import { createHash } from "node:crypto";
import { symlink } from "node:fs/promises";
import { expect, test } from "vitest";
import { parseManifest } from "../manifest.ts";
import { folderWith } from "../testing/folder.ts";
import { collectOutputs } from "./outputs.ts";

const manifest = parseManifest({
  name: "small",
  version: "1.0.0",
  title: "t",
  summary: "s",
  domain: "general",
  command: ["true"],
  parameters: {},
  outputs: [{ name: "map*.png", type: "image/png", description: "maps" }],
  limits: { outputBytes: 1000, outputFiles: 4 },
});
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const listing = (files: object[]) => JSON.stringify({ files });

test("files that the guest wrote down → each with its type and checksum, and the answer", async () => {
  await using folder = await folderWith({
    "map-1.png": "picture",
    "result.json": '{"depth":3}',
    "manifest.json": listing([{ name: "map-1.png", bytes: 7, sha256: sha256("picture") }]),
  });
  const { files, result } = await collectOutputs(manifest, folder.path);
  expect(files.map(({ name, type }) => [name, type])).toEqual([
    ["map-1.png", "image/png"],
    ["result.json", "application/octet-stream"],
  ]);
  expect(files[0]?.sha256).toBe(sha256("picture"));
  expect(result).toEqual({ depth: 3 });
});

test.each([
  ["a promised file that is not there", { "a.txt": "x" }, "no map*.png"],
  ["too many files", { "map.png": "", a: "", b: "", c: "", d: "" }, "more than 4 files"],
  ["too many bytes", { "map.png": "x".repeat(1001) }, "more than 1000 bytes"],
  [
    "another content than written down",
    { "map.png": "x", "manifest.json": listing([{ name: "map.png", bytes: 1, sha256: "0" }]) },
    "not what was written",
  ],
  [
    "a listed file that is gone",
    { "map.png": "x", "manifest.json": listing([{ name: "b", bytes: 1, sha256: "0" }]) },
    "listed and not there",
  ],
  ["a listing that is none", { "map.png": "x", "manifest.json": "[]" }, "not a list"],
  ["an answer that is no JSON", { "map.png": "x", "result.json": "{" }, "result.json is not JSON"],
])("%s → QZ_SKILLS_OUTPUT_INVALID", async (_name, files, words) => {
  await using folder = await folderWith(files);
  await expect(collectOutputs(manifest, folder.path)).rejects.toMatchObject({
    code: "QZ_SKILLS_OUTPUT_INVALID",
    message: expect.stringContaining(words),
  });
});

test("a link → QZ_SKILLS_OUTPUT_INVALID, and what it points to is not read", async () => {
  await using folder = await folderWith({ "map.png": "x" });
  await symlink("/etc/passwd", folder.file("map-2.png"));
  await expect(collectOutputs(manifest, folder.path)).rejects.toMatchObject({
    code: "QZ_SKILLS_OUTPUT_INVALID",
  });
});
