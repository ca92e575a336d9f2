import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readAr } from "./ar.ts";
import { readDeb } from "./deb.ts";
import { makeAr, makeDeb } from "./testing/packages.ts";

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const large = new Uint8Array(700_001).map((_, i) => i % 251);

test("packages of each compression → only the wanted regular files, whole", async () => {
  for (const compression of ["xz", "gz", "zst", "none"] as const) {
    const deb = await makeDeb({ "bin/a": "first", "bin/b": large, "etc/c": "third" }, compression);
    const files = await readDeb(deb, (path) => path.startsWith("bin/"));
    expect(files.map((file) => file.path)).toEqual(["bin/a", "bin/b"]);
    expect(text(files[0]?.data)).toBe("first");
    expect(Buffer.compare(files[1]?.data ?? new Uint8Array(), large)).toBe(0);
  }
});

test("archives that are no Debian packages → QZ_IMAGES_BAD_PACKAGE", async () => {
  const data = new TextEncoder().encode("2.0\n");
  const broken = [
    new Uint8Array(0),
    new TextEncoder().encode("!<arch>\nshort"),
    makeAr([]),
    makeAr([{ name: "other", data }]),
    makeAr([{ name: "debian-binary", data }]),
    makeAr([{ name: "debian-binary", data: new TextEncoder().encode("3.0\n") }]),
    makeAr([
      { name: "debian-binary", data },
      { name: "data.tar.xz", data: new Uint8Array([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2, 3]) },
    ]),
    makeAr([
      { name: "debian-binary", data },
      { name: "data.tar", data: new Uint8Array(600).fill(0x41) },
    ]),
  ];
  for (const deb of broken) {
    const code = "QZ_IMAGES_BAD_PACKAGE";
    await expect(readDeb(deb, () => true)).rejects.toMatchObject({ code });
  }
});

test("a package cut or altered anywhere → its files or a coded error", async () => {
  const sample = await makeDeb({ "bin/a": "first", "bin/b": "second" }, "gz");
  const change = fc.tuple(fc.nat(sample.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 4 }),
      fc.nat(sample.length),
      async (changes, length) => {
        const deb = new Uint8Array(sample.subarray(0, length));
        for (const [at, value] of changes) if (at < length) deb[at] = value;
        try {
          await readDeb(deb, () => true);
        } catch (error) {
          expect(isQueztlError(error), String(error)).toBe(true);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test("a cancelled read → the signal's reason", async () => {
  const deb = await makeDeb({ "bin/b": large });
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(readDeb(deb, () => true, { signal })).rejects.toThrow("enough");
});

test("members of odd length → padding skipped, names without their slash", () => {
  const one = new Uint8Array([1, 2, 3]);
  const members = readAr(
    makeAr([
      { name: "a/", data: one },
      { name: "b", data: one },
    ]),
  );
  expect(members.map((member) => member.name)).toEqual(["a", "b"]);
  expect(members[1]?.data).toEqual(Buffer.from(one));
});
