import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareVersions, parsePackageIndex } from "./package-index.ts";

const sha256 = "ab".repeat(32);
const paragraph = [
  "Package: linux-image-cloud-amd64",
  "Version: 6.1.176-1",
  "Depends: linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1), kmod | other, libc6:any (>= 2)",
  "Description: two",
  " lines",
  "Filename: pool/main/l/linux/x.deb",
  "Size: 1484",
  `SHA256: ${sha256}`,
].join("\n");

test("an index → its packages, dependencies by name only", () => {
  const found = parsePackageIndex(`${paragraph}\n\nPackage: incomplete\n\n`, "here");
  expect(found).toEqual([
    {
      name: "linux-image-cloud-amd64",
      version: "6.1.176-1",
      sha256,
      size: 1484,
      path: "pool/main/l/linux/x.deb",
      depends: ["linux-image-6.1.0-50-cloud-amd64", "kmod", "libc6"],
    },
  ]);
});

test("a package with an odd hash, or a path that climbs → QZ_IMAGES_BAD_INDEX", () => {
  const odd = [
    paragraph.replace(sha256, "xyz"),
    paragraph.replace("pool/main", "../../etc"),
    paragraph.replace("pool/main", "/etc"),
    paragraph.replace("1484", "many"),
  ];
  for (const text of odd) {
    expect(() => parsePackageIndex(text, "here")).toThrow(
      expect.objectContaining({ code: "QZ_IMAGES_BAD_INDEX" }),
    );
  }
});

test("Debian versions → ordered as the policy says", () => {
  const ascending = [
    "1.0~beta1~svn1245",
    "1.0~beta1",
    "1.0",
    "1.0-1",
    "1.0-1+deb12u1",
    "1.0-1+deb12u1+b1",
    "1.0-2",
    "1.0a",
    "1.0+x",
    "1.9",
    "1.10",
    "6.1.176-1",
    "6.1.192-2",
    "1:0.1",
  ];
  for (let i = 1; i < ascending.length; i++) {
    const [low = "", high = ""] = [ascending[i - 1], ascending[i]];
    expect([low, high, compareVersions(low, high) < 0]).toEqual([low, high, true]);
    expect(compareVersions(high, low)).toBeGreaterThan(0);
  }
  expect(compareVersions("1.0", "1.00")).toBe(0);
});

const hasDpkg = (() => {
  try {
    execFileSync("dpkg", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!hasDpkg)("any two versions → ordered as dpkg orders them", () => {
  const part = fc.stringMatching(/^[0-9][0-9a-c.+~]{0,5}$/);
  const version = fc
    .tuple(fc.option(fc.nat(2)), part, fc.option(part))
    .map(
      ([epoch, upstream, revision]) =>
        `${epoch === null ? "" : `${epoch}:`}${upstream}${revision === null ? "" : `-${revision}`}`,
    );
  fc.assert(
    fc.property(version, version, (a, b) => {
      const says = (operator: string) => {
        try {
          execFileSync("dpkg", ["--compare-versions", a, operator, b], { stdio: "ignore" });
          return true;
        } catch {
          return false;
        }
      };
      const order = Math.sign(compareVersions(a, b));
      expect([a, b, order]).toEqual([a, b, says("lt") ? -1 : says("gt") ? 1 : 0]);
    }),
    { numRuns: 60 },
  );
});
