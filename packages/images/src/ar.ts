import { imagesError } from "./errors.ts";

/** One file of an ar archive; `data` aliases the archive. */
export interface ArMember {
  readonly name: string;
  readonly data: Uint8Array;
}

const MAGIC = "!<arch>\n";
const HEADER_BYTES = 60;
const latin1 = new TextDecoder("latin1");

/**
 * Reads the members of an ar archive as Debian packages use it: names of at most 16 bytes (deb(5)).
 * @throws QZ_IMAGES_BAD_PACKAGE
 */
export function readAr(archive: Uint8Array): ArMember[] {
  const bad = (reason: string) =>
    imagesError("QZ_IMAGES_BAD_PACKAGE", { what: "the ar archive", reason });
  if (latin1.decode(archive.subarray(0, 8)) !== MAGIC) throw bad("it does not begin as one");
  const members: ArMember[] = [];
  for (let at = 8; at < archive.length;) {
    if (at + HEADER_BYTES > archive.length) throw bad("a header is cut");
    const header = latin1.decode(archive.subarray(at, at + HEADER_BYTES));
    const size = header.slice(48, 58).trimEnd();
    if (!header.endsWith("`\n") || !/^\d{1,10}$/.test(size)) throw bad(`no header at byte ${at}`);
    const start = at + HEADER_BYTES;
    const end = start + Number(size);
    if (end > archive.length) throw bad("a member is cut");
    const name = header.slice(0, 16).trimEnd().replace(/\/$/, "");
    members.push({ name, data: archive.subarray(start, end) });
    at = end + (end & 1);
  }
  return members;
}
