import { imagesError } from "../errors.ts";

/** The longest name in a directory, in bytes (ext4 and Linux's NAME_MAX). */
const NAME_BYTES_MAX = 255;

/** The longest path, in bytes (Linux's PATH_MAX less its end). */
const PATH_BYTES_MAX = 4095;

const utf8 = new TextEncoder();

/**
 * Splits a path of an archive or a caller into its names. "/" and "./" at the beginning are what archives
 * differ in and mean nothing here; a path that climbs with ".." is refused, not resolved.
 * @throws QZ_IMAGES_BAD_PATH
 */
export function pathNames(path: string): string[] {
  const bad = (reason: string) =>
    imagesError("QZ_IMAGES_BAD_PATH", { path: JSON.stringify(path.slice(0, 300)), reason });
  if (path.includes("\0")) throw bad("it holds a zero byte");
  // A lone surrogate has no UTF-8; two such names could become one on the disk.
  if (/\p{Surrogate}/u.test(path)) throw bad("it is not well-formed Unicode");
  if (byteLength(path) > PATH_BYTES_MAX) throw bad(`it is longer than ${PATH_BYTES_MAX} bytes`);
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  for (const name of names) {
    if (name === "..") throw bad("it climbs with ..");
    if (byteLength(name) > NAME_BYTES_MAX) {
      throw bad(`a name in it is longer than ${NAME_BYTES_MAX} bytes`);
    }
  }
  return names;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return utf8.encode(text).length;
}
