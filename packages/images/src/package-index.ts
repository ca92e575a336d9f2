import { imagesError } from "./errors.ts";

/** A Debian package as an index or the pins name it. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the .deb, in hexadecimal. */
  readonly sha256: string;
  /** Bytes of the .deb. */
  readonly size: number;
  /** Path below the mirror's root: "pool/main/…". */
  readonly path: string;
  /** Names of the packages it depends on, versions left out. */
  readonly depends: readonly string[];
}

/**
 * Reads a Packages index, or what `apt-cache show` prints: paragraphs of "Field: value" (deb822(5)).
 * Paragraphs that lack what a package needs are left out.
 * @throws QZ_IMAGES_BAD_INDEX when a package's own fields make no sense.
 */
export function parsePackageIndex(text: string, source: string): DebianPackage[] {
  return text.split(/\n\s*\n/).flatMap((paragraph) => {
    const field = (name: string) =>
      new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(paragraph)?.[1]?.trim();
    const [name, version, sha256] = [field("Package"), field("Version"), field("SHA256")];
    const path = field("Filename");
    if (!name || !version || !sha256 || !path) return [];
    const size = Number(field("Size"));
    const sound =
      /^[0-9a-f]{64}$/.test(sha256) &&
      Number.isSafeInteger(size) &&
      !path.startsWith("/") &&
      !path.split("/").includes("..");
    if (!sound) throw imagesError("QZ_IMAGES_BAD_INDEX", { source, reason: `${name} is odd` });
    const depends = (field("Depends") ?? "").split(",").map((d) => d.trim().split(/[\s(|:]/)[0]);
    return [
      {
        name,
        version,
        sha256,
        size,
        path,
        depends: depends.filter((d) => d !== undefined && d !== ""),
      },
    ] as DebianPackage[];
  });
}

/**
 * Orders Debian versions (deb-version(7)): negative when `a` is older than `b`, 0 when they are equal.
 */
export function compareVersions(a: string, b: string): number {
  const [epochA, restA] = splitEpoch(a);
  const [epochB, restB] = splitEpoch(b);
  if (epochA !== epochB) return epochA - epochB;
  const [upstreamA, revisionA] = splitRevision(restA);
  const [upstreamB, revisionB] = splitRevision(restB);
  return compareParts(upstreamA, upstreamB) || compareParts(revisionA, revisionB);
}

function splitEpoch(version: string): [number, string] {
  const at = version.indexOf(":");
  return at < 0 ? [0, version] : [Number(version.slice(0, at)), version.slice(at + 1)];
}

function splitRevision(version: string): [string, string] {
  const at = version.lastIndexOf("-");
  return at < 0 ? [version, ""] : [version.slice(0, at), version.slice(at + 1)];
}

function compareParts(a: string, b: string): number {
  // Alternating runs of other characters and of digits; an absent run is empty, an absent number 0.
  const runs = (text: string) => [...text.matchAll(/(\D*)(\d*)/g)].map((m) => [m[1], m[2]]);
  const [left, right] = [runs(a), runs(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [wordA = "", numberA = ""] = left[i] ?? [];
    const [wordB = "", numberB = ""] = right[i] ?? [];
    const words = compareWords(wordA, wordB);
    if (words !== 0) return words;
    const difference = BigInt(numberA || 0) - BigInt(numberB || 0);
    if (difference !== 0n) return difference < 0n ? -1 : 1;
  }
  return 0;
}

/** "~" sorts before the end, letters before everything else. */
function compareWords(a: string, b: string): number {
  const weight = (c: string | undefined) => {
    if (c === undefined) return 0;
    if (c === "~") return -1;
    return /[A-Za-z]/.test(c) ? c.charCodeAt(0) : c.charCodeAt(0) + 256;
  };
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = weight(a[i]) - weight(b[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}
