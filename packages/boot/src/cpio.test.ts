import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isQueztlError } from "@queztl/errors";
import { readCpio, writeCpio } from "./cpio.ts";
import type { CpioInput, CpioType } from "./cpio.ts";

/** Written by GNU cpio 2.13: `cpio -o -H newc --reproducible -R 0:0` of etc, etc/motd and the link. */
const GNU = gunzipSync(
  Buffer.from(
    "H4sIAAAAAAACAzMwNzA3MDRAAiaGri4G2IGRsZOlo7OjAanABMZILUlmYGAwQLYTTFsY4jTUEM1OIyLttESyUz83vySFgSEjE81usFmOhm5uuOw2czIwcjYwNkM3kwAwhTFyMvOyGRj0EU5AtZ8QMDQgDzjBGCFBjp4+rkGKiooMOAAAz7qn6QACAAA=",
    "base64",
  ),
);

const LINK_TIME = 1_795_342_390;
const root = { uid: 0, gid: 0, mtime: 1_000_000_000, major: 0, minor: 0 };

test("an archive of GNU cpio → its entries", () => {
  const entries = readCpio(GNU).map((e) => ({ ...e, data: new TextDecoder().decode(e.data) }));
  expect(entries).toEqual([
    { ...root, path: "etc", type: "directory", mode: 0o755, data: "" },
    { ...root, path: "etc/motd", type: "file", mode: 0o640, data: "hi" },
    { ...root, mtime: LINK_TIME, path: "link", type: "symlink", mode: 0o777, data: "/etc/motd" },
  ]);
});

test("the same entries written → GNU cpio's bytes but for inode and device numbers and the last padding", () => {
  const mask = (archive: Uint8Array) => {
    const text = Buffer.from(archive).toString("latin1").replace(/\0+$/, "").toLowerCase();
    return text.replaceAll(/070701.{8}(.{48}).{16}/g, "070701$1");
  };
  const written = writeCpio([
    { path: "etc", type: "directory", mtime: root.mtime },
    { path: "etc/motd", mode: 0o640, data: "hi", mtime: root.mtime },
    { path: "link", type: "symlink", data: "/etc/motd", mtime: LINK_TIME },
  ]);
  expect(mask(written)).toBe(mask(GNU));
});

const segment = fc.stringMatching(/^[a-zä][a-z0-9. -]{0,20}$/);
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const u32 = fc.nat(0xffffffff);
const entry = fc.record({
  path,
  type: fc.constantFrom<CpioType>("file", "directory", "symlink", "character-device", "fifo"),
  mode: fc.nat(0o7777),
  data: fc.uint8Array({ maxLength: 40 }),
  uid: u32,
  gid: u32,
  mtime: u32,
  major: u32,
  minor: u32,
});

test("any entries → the same after writing and reading, and the same bytes every time", () => {
  const entries = fc.uniqueArray(entry, { selector: (e) => e.path, maxLength: 8 });
  fc.assert(
    fc.property(entries, (list) => {
      const archive = writeCpio(list);
      expect(readCpio(archive)).toEqual(list);
      expect(writeCpio(list)).toEqual(archive);
      expect(archive.length % 4).toBe(0);
    }),
  );
});

test("two archives, one after the other with padding between → all entries", () => {
  const one = writeCpio([{ path: "a", data: "1" }]);
  const both = new Uint8Array(1024 + GNU.length);
  both.set(one);
  both.set(GNU, 1024);
  expect(readCpio(both).map((e) => e.path)).toEqual(["a", "etc", "etc/motd", "link"]);
});

test("entries that cannot be written → QZ_BOOT_BAD_ENTRY", () => {
  const cases: CpioInput[][] = [
    [{ path: "/etc" }],
    [{ path: "a/../../b" }],
    [{ path: "" }],
    [{ path: "a\0b" }],
    [{ path: "TRAILER!!!" }],
    [{ path: "x".repeat(4096) }],
    [{ path: "a" }, { path: "a" }],
    [{ path: "a", mode: 0o10000 }],
    [{ path: "a", uid: -1 }],
    [{ path: "a", mtime: 2 ** 32 }],
  ];
  for (const entries of cases) {
    expect(() => writeCpio(entries)).toThrow(
      expect.objectContaining({ code: "QZ_BOOT_BAD_ENTRY" }),
    );
  }
});

test("a hostile archive → its entries or QZ_BOOT_BAD_ARCHIVE, never a path that leaves the root", () => {
  const climbing = Buffer.from(GNU.toString("latin1").replace("etc/motd", "../passw"), "latin1");
  for (const bytes of [climbing, new Uint8Array(0), new Uint8Array(300), GNU.subarray(0, 200)]) {
    expect(() => readCpio(bytes)).toThrow(expect.objectContaining({ code: "QZ_BOOT_BAD_ARCHIVE" }));
  }
  const change = fc.tuple(fc.nat(GNU.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 6 }), fc.nat(GNU.length), (changes, length) => {
      const bytes = new Uint8Array(GNU.subarray(0, length));
      for (const [at, value] of changes) if (at < length) bytes[at] = value;
      try {
        for (const found of readCpio(bytes)) {
          expect(found.path.split("/")).not.toContain("..");
          expect(found.path.startsWith("/")).toBe(false);
        }
      } catch (error) {
        expect(isQueztlError(error, "QZ_BOOT_BAD_ARCHIVE"), String(error)).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});
