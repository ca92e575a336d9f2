/** As many numbers as a skill reads at most. */
const CELLS_MAX = 200_000_000;
const LOCAL_HEADER = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;
/** NumPy keeps text so. */
const UTF32_BYTES = 4;
const NPY_MAGIC = [0x93, ...new TextEncoder().encode("NUMPY")];

/**
 * Says why a file cannot be an archive of NumPy arrays, as far as the arrays that begin in its first bytes (`head`) of so many tell: their
 * names, that they hold numbers or words, and that they are as large as they claim (PKWARE's APPNOTE.TXT 4.3.7, NumPy's NEP 1).
 */
export function npzProblem(head: Uint8Array, bytes: number): string | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  let at = 0;
  for (let member = 0; at + LOCAL_HEADER_BYTES <= head.length; member += 1) {
    if (view.getUint32(at, true) !== LOCAL_HEADER) {
      return member === 0 ? "it is not an .npz archive" : undefined;
    }
    const stored = view.getUint16(at + 8, true) === 0;
    const [nameBytes, extraBytes] = [view.getUint16(at + 26, true), view.getUint16(at + 28, true)];
    const begin = at + LOCAL_HEADER_BYTES + nameBytes + extraBytes;
    if (begin > head.length) return member === 0 ? "its first array has no end" : undefined;
    const nameAt = at + LOCAL_HEADER_BYTES;
    const name = new TextDecoder().decode(head.subarray(nameAt, nameAt + nameBytes));
    if (!/^\w{1,64}\.npy$/.test(name)) {
      return `it holds ${JSON.stringify(name.slice(0, 80))}, which is no array's name`;
    }
    const size = sizesOf(view, at, { extraAt: nameAt + nameBytes, extraBytes });
    const { packed = 0, plain = Infinity } = size ?? {};
    if (begin + packed > bytes) return `${name} claims ${packed} bytes, the file ends before`;
    if (size !== undefined && plain > CELLS_MAX * 8) {
      return `${name} claims ${plain} bytes, too many to work with`;
    }
    const problem = stored ? arrayProblem(head.subarray(begin), plain) : undefined;
    if (problem !== undefined) return `${name} ${problem}`;
    // Where its size follows its data, the next one is not found.
    if (size === undefined) return undefined;
    at = begin + packed;
  }
  return at === 0 ? "it is not an .npz archive" : undefined;
}

/** Sizes of a member's data, packed and plain; those of 64 bits are in the extra field 1 (APPNOTE.TXT 4.5.3). */
function sizesOf(
  view: DataView,
  at: number,
  { extraAt, extraBytes }: { readonly extraAt: number; readonly extraBytes: number },
): { readonly packed: number; readonly plain: number } | undefined {
  const FOLLOW = 8;
  if ((view.getUint16(at + 6, true) & FOLLOW) !== 0) return undefined;
  const [packed, plain] = [view.getUint32(at + 18, true), view.getUint32(at + 22, true)];
  if (packed !== 0xffff_ffff || plain !== 0xffff_ffff) return { packed, plain };
  if (extraBytes < 20 || view.getUint16(extraAt, true) !== 1) return undefined;
  return {
    plain: Number(view.getBigUint64(extraAt + 4, true)),
    packed: Number(view.getBigUint64(extraAt + 12, true)),
  };
}

/** What is wrong with an array that lies in the archive as it is. */
function arrayProblem(array: Uint8Array, bytes: number): string | undefined {
  if (bytes < 10 || NPY_MAGIC.some((byte, at) => array[at] !== byte)) return "is no array";
  const view = new DataView(array.buffer, array.byteOffset, array.byteLength);
  const wide = (array[6] ?? 0) > 1;
  if (array.length < 12) return undefined;
  const [begin, length] = wide ? [12, view.getUint32(8, true)] : [10, view.getUint16(8, true)];
  if (begin + length > array.length) return undefined;
  const text = new TextDecoder("latin1").decode(array.subarray(begin, begin + length));
  const [, kind, width] = /'descr': *'[<>|=]?([a-zA-Z])(\d{0,4})'/.exec(text) ?? [];
  const shape = /'shape': *\(([\d, ]*)\)/.exec(text)?.[1];
  if (kind === undefined || shape === undefined || !"biufSU".includes(kind)) {
    return "holds neither plain numbers nor words";
  }
  const cells = shape
    .split(",")
    .filter((edge) => edge.trim() !== "")
    .reduce((product, edge) => product * Number(edge), 1);
  if (cells > CELLS_MAX) return `claims ${cells} numbers, at most ${CELLS_MAX} can be worked with`;
  const each = Number(width) * (kind === "U" ? UTF32_BYTES : 1);
  if (begin + length + cells * each > bytes) return "claims more than it holds";
  return undefined;
}
