import type { SkillFile } from "./manifest.ts";
import { npzProblem } from "./npz-head.ts";

/** How many of a file's first bytes a check looks at. */
export const HEAD_BYTES = 64 << 10;

/** A file's first bytes and what else is known of it. */
export interface FileHead {
  /** The first `HEAD_BYTES`, or all of it. */
  readonly head: Uint8Array;
  /** Bytes of the whole file. */
  readonly bytes: number;
}

/**
 * Says why a file cannot be what a skill takes, as far as its first bytes tell; undefined where it can. The program in
 * the guest reads all of it and may still refuse.
 */
export function fileProblem(spec: SkillFile, file: FileHead): string | undefined {
  if (file.bytes === 0) return "it is empty";
  if (file.bytes > spec.maxBytes)
    return `it has ${file.bytes} bytes, at most ${spec.maxBytes} are taken`;
  return checks[spec.kind](spec, file);
}

type Check = (spec: SkillFile, file: FileHead) => string | undefined;

const IMAGE_EDGE_MAX = 16_384;
const SEGY_SAMPLE_BYTES: Readonly<Record<number, number>> = { 1: 4, 2: 4, 3: 2, 5: 4, 8: 1 };

const checks: Readonly<Record<SkillFile["kind"], Check>> = {
  any: () => undefined,

  table({ columns, numbers }, { head, bytes }) {
    if (head.includes(0)) return "it is binary, not text";
    const text = new TextDecoder().decode(head);
    const lines = text
      .split(/\r\n|\r|\n/)
      .filter((row) => row.trim() !== "" && !row.startsWith("#"));
    if (lines.length < 2) return "it has no row under a header";
    const names = new Set(cells(lines[0] ?? "").map((cell) => cell.toLowerCase()));
    const missing = columns.filter(
      (column) => !column.split("|").some((name) => names.has(name.toLowerCase())),
    );
    if (missing.length > 0) {
      return `its first line names no column ${missing.map((one) => one.replaceAll("|", " or ")).join(", ")}`;
    }
    const whole = bytes <= head.length;
    if (lines.length === 2 && !whole) return "its first row is longer than 64 KiB";
    // The last line of a head may be cut off.
    return numbers ? cellProblem(columns, whole ? lines : lines.slice(0, -1)) : undefined;
  },

  json(_spec, { head, bytes }) {
    const text = new TextDecoder().decode(head).trimStart();
    if (!text.startsWith("{") && !text.startsWith("[")) return "it is not JSON";
    if (bytes > head.length) return undefined;
    try {
      JSON.parse(text);
    } catch (cause) {
      return `it is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`;
    }
    return undefined;
  },

  // SEG-Y revision 1: 3,200 bytes of text, a binary header of 400, then traces with 240 before their samples.
  segy(_spec, { head, bytes }) {
    if (bytes < 3600 + 240 || head.length < 3600) return "it is too short for a SEG-Y file";
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const interval = view.getUint16(3216);
    const samples = view.getUint16(3220);
    const format = view.getUint16(3224);
    const width = SEGY_SAMPLE_BYTES[format];
    if (width === undefined)
      return `its samples have format ${format}, which is none of 1, 2, 3, 5, 8`;
    if (samples === 0 || interval === 0) return "its header names no samples or no interval";
    if (3600 + 240 + samples * width > bytes) {
      return `its header claims ${samples} samples a trace, the file ends before the first trace does`;
    }
    return undefined;
  },

  image(_spec, { head }) {
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    if (head.length < 24 || view.getUint32(0) !== 0x89504e47) return "it is not a PNG picture";
    const [width, height] = [view.getUint32(16), view.getUint32(20)];
    if (width > IMAGE_EDGE_MAX || height > IMAGE_EDGE_MAX) {
      return `it claims ${width} × ${height} pixels, at most ${IMAGE_EDGE_MAX} an edge are taken`;
    }
    return undefined;
  },

  npz: (_spec, { head, bytes }) => npzProblem(head, bytes),

  // A ModelProto begins with its field 1, the version of the format.
  onnx: (_spec, { head }) => (head[0] === 0x08 ? undefined : "it is not an ONNX model"),
};

/** The first cell of the columns that is no finite number. */
function cellProblem(
  columns: readonly string[],
  [head = "", ...rows]: readonly string[],
): string | undefined {
  const names = cells(head).map((cell) => cell.toLowerCase());
  const wanted = columns.map((column) => {
    const either = column.toLowerCase().split("|");
    return { name: either[0] ?? "", at: names.findIndex((name) => either.includes(name)) };
  });
  const separator = /[,;\t]/.exec(head)?.[0] ?? /\s+/;
  for (const [row, line] of rows.entries()) {
    // NumPy leaves out what follows a # in a line, too.
    const found = cells(line.replace(/#.*/, ""), separator);
    for (const { name, at } of wanted) {
      const cell = found[at];
      if (cell === undefined) return `row ${row + 1} has no ${name}`;
      if (cell === "" || !Number.isFinite(Number(cell))) {
        return `row ${row + 1}: ${name} is ${JSON.stringify(cell.slice(0, 40))}, not a finite number`;
      }
    }
  }
  return undefined;
}

/** The cells of a table's line, whatever separates them. */
function cells(
  line: string,
  separator: string | RegExp = /[,;\t]/.exec(line)?.[0] ?? /\s+/,
): string[] {
  return line
    .trim()
    .split(separator)
    .map((cell) => cell.trim().replaceAll(/^"|"$/g, ""));
}
