import { expect, test } from "vitest";
import { FileTree } from "./file-tree.ts";

const paths = (tree: FileTree) => [...tree.walk()].map(({ path }) => path).slice(1);

test("files in any order → walked by name, parents first and made where missing", () => {
  const tree = new FileTree();
  tree.add("/usr/bin/env", { content: "x" });
  tree.add("./etc/passwd", {});
  tree.add("usr/", { type: "directory", mode: 0o700 });
  expect(paths(tree)).toEqual(["etc", "etc/passwd", "usr", "usr/bin", "usr/bin/env"]);
  expect(tree.find("usr")).toMatchObject({ mode: 0o700 });
});

test("a path through a symbolic link → lands where the guest would put it, never outside", () => {
  const tree = new FileTree();
  tree.add("usr/bin", { type: "directory" });
  tree.add("bin", { type: "symlink", target: "usr/bin" });
  tree.add("out", { type: "symlink", target: "../../../../etc" });
  tree.add("bin/sh", { content: "sh" });
  tree.add("out/passwd", {});
  expect(paths(tree)).toEqual(["bin", "etc", "etc/passwd", "out", "usr", "usr/bin", "usr/bin/sh"]);
});

test("a directory over a link to one → the link stays, or gives way where told", () => {
  const tree = new FileTree();
  tree.add("usr/lib/x", {});
  tree.add("lib", { type: "symlink", target: "usr/lib" });
  tree.add("lib", { type: "directory" });
  expect(tree.find("lib", { followLast: false })).toMatchObject({ type: "symlink" });
  tree.add("lib", { type: "directory" }, { overLink: "replace" });
  expect(tree.find("lib", { followLast: false })).toMatchObject({ type: "directory" });
});

test("hard links → one file under two names; of what cannot have two → QZ_IMAGES_BAD_PATH", () => {
  const tree = new FileTree();
  tree.add("a/x", { content: "x" });
  tree.link("b/y", "a/x");
  expect(tree.find("b/y")).toBe(tree.find("a/x"));
  for (const target of ["gone", "a", "a/x/y"]) {
    expect(() => tree.link("z", target)).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_BAD_PATH" }),
    );
  }
});

test("removing → gone with all below; true only where it was", () => {
  const tree = new FileTree();
  tree.add("a/b/c", {});
  expect([tree.remove("a/b"), tree.remove("a/b"), tree.remove("x/y")]).toEqual([
    true,
    false,
    false,
  ]);
  expect(paths(tree)).toEqual(["a"]);
});

test("hostile paths → QZ_IMAGES_BAD_PATH", () => {
  const tree = new FileTree();
  tree.add("file", {});
  tree.add("loop", { type: "symlink", target: "loop" });
  tree.add("ping", { type: "symlink", target: "pong" });
  tree.add("pong", { type: "symlink", target: "ping" });
  const hostile = [
    "../x",
    "a/../../x",
    "a\0b",
    "\ud800",
    "n".repeat(256),
    "é".repeat(128),
    "a/".repeat(2048),
    "file/x",
    "loop/x",
    "ping/x",
    "",
    "/",
  ];
  for (const path of hostile) {
    expect(() => tree.add(path, { content: "x" }), JSON.stringify(path.slice(0, 20))).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_BAD_PATH" }),
    );
  }
  expect(paths(tree)).toEqual(["file", "loop", "ping", "pong"]);
});

test("attributes that no disk holds → QZ_IMAGES_BAD_FILE", () => {
  const tree = new FileTree();
  const odd = [
    { mode: 0o10000 },
    { uid: -1 },
    { gid: 2 ** 32 },
    { mtime: Number.NaN },
    { mtime: 2 ** 40 },
    { type: "symlink" as const, target: "" },
    { type: "symlink" as const, target: "a\0" },
    { type: "symlink" as const, target: "x".repeat(4096) },
    { type: "block-device" as const, major: 5000, minor: 0 },
  ];
  for (const input of odd) {
    expect(() => tree.add("x", input)).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_BAD_FILE" }),
    );
  }
});

test("ten thousand nested folders → walked without exhausting the stack", () => {
  const tree = new FileTree();
  // Links into the depth make paths far longer than a path may be.
  let node = tree.root;
  for (let i = 0; i < 10_000; i++) {
    const child = { ...tree.root, children: new Map() };
    node.children.set("d", child);
    node = child;
  }
  let count = 0;
  for (const _ of tree.walk()) count++;
  expect(count).toBe(10_001);
});
