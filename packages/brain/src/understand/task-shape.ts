import { fault } from "../errors.ts";

/** A file that comes with a task: its name and its size in bytes where known. */
export interface TaskFile {
  readonly name: string;
  readonly bytes?: number;
}

/** What a task's data and files are made of. */
export interface TaskShape {
  /** Sizes and counts by name: points, rows, columns, vertices, epochs, bytes, files, elements … */
  readonly features: ReadonlyMap<string, number>;
  /** Names of the data's own keys, outermost first, each once. */
  readonly keys: readonly string[];
  /** Names of the files, and of strings in the data that look like file names. */
  readonly files: readonly string[];
  /** Things left out, in plain words. */
  readonly notes: readonly string[];
}

const limits = { nodes: 20_000, depth: 32, keys: 64, sample: 256, features: 48, files: 10_000 };

// Other names of one size, so that experiences compare across spellings.
const aliases: Readonly<Record<string, string>> = {
  n_points: "points",
  num_points: "points",
  point_count: "points",
  npoints: "points",
  n_rows: "rows",
  num_rows: "rows",
  row_count: "rows",
  records: "rows",
  lines: "rows",
  cols: "columns",
  n_cols: "columns",
  n_columns: "columns",
  num_columns: "columns",
  num_vertices: "vertices",
  vertex_count: "vertices",
  verts: "vertices",
  n_vertices: "vertices",
  num_faces: "faces",
  triangles: "faces",
  polygons: "faces",
  polys: "faces",
  face_count: "faces",
  num_epochs: "epochs",
  n_epochs: "epochs",
  max_epochs: "epochs",
  batchsize: "batch_size",
  batch: "batch_size",
  size_bytes: "bytes",
  file_size: "bytes",
  num_bytes: "bytes",
  filesize: "bytes",
  num_images: "images",
  image_count: "images",
  n_images: "images",
  pictures: "images",
  photos: "images",
  num_samples: "samples",
  n_samples: "samples",
  n_traces: "traces",
  num_traces: "traces",
  n_frames: "frames",
  num_frames: "frames",
  maxtokens: "max_tokens",
  max_new_tokens: "max_tokens",
};

/**
 * Walks a task's data and file list for sizes. At most 20,000 values, 32 levels and the first 256
 * elements of an array are looked at, so a hostile object costs no more than a large honest one.
 * Throws `QZ_BRAIN_DATA_INVALID` for NaN, infinities, functions and other values outside JSON, and
 * `QZ_BRAIN_FILES_INVALID`. Negative numbers are data, not sizes: they are left out.
 */
export function taskShape(data: unknown, files: readonly TaskFile[] = []): TaskShape {
  const features = new Map<string, number>();
  const keys: string[] = [];
  const seenKeys = new Set<string>();
  const fileNames: string[] = [];
  const notes: string[] = [];
  const measure = (name: string, value: number) => {
    if (!features.has(name) && features.size >= limits.features) return;
    features.set(name, Math.max(features.get(name) ?? 0, value));
  };

  const pending: { value: unknown; key: string; depth: number }[] = [
    { value: data, key: "", depth: 0 },
  ];
  let elements = 0;
  for (let visited = 0; visited < pending.length; visited++) {
    if (visited >= limits.nodes) {
      notes.push(`only the first ${limits.nodes} values of the data were read`);
      break;
    }
    const next = pending[visited];
    if (next === undefined) break;
    const { value, key, depth } = next;
    if (value === null || value === undefined || typeof value === "boolean") continue;
    if (typeof value === "string") {
      if (value.length <= 128 && /^[^\s"'<>|]+\.[A-Za-z][A-Za-z0-9]{0,7}$/.test(value)) {
        if (fileNames.length < limits.keys) fileNames.push(value);
      }
      continue;
    }
    if (typeof value === "number") {
      if (!Number.isFinite(value)) {
        throw fault("QZ_BRAIN_DATA_INVALID", { path: key || "the data", type: String(value) });
      }
      if (key !== "" && value >= 0) measure(sizeName(key), value);
      continue;
    }
    if (typeof value !== "object") {
      throw fault("QZ_BRAIN_DATA_INVALID", { path: key || "the data", type: `a ${typeof value}` });
    }
    if (depth >= limits.depth) {
      if (notes.length === 0) notes.push(`data deeper than ${limits.depth} levels was not read`);
      continue;
    }
    if (ArrayBuffer.isView(value)) {
      measure("bytes", value.byteLength);
      continue;
    }
    if (Array.isArray(value)) {
      const items: readonly unknown[] = value;
      elements += items.length;
      if (items.length > 0) measure(sizeName(key || "rows"), items.length);
      const first = items[0];
      if (Array.isArray(first)) {
        measure("rows", items.length);
        measure("columns", first.length);
      } else if (typeof first === "object" && first !== null) {
        measure("rows", items.length);
        measure("columns", Object.keys(first).length);
      }
      for (const item of items.slice(0, limits.sample)) {
        // A list's own numbers are values, not sizes: only checked.
        pending.push({ value: item, key: "", depth: depth + 1 });
      }
      continue;
    }
    let count = 0;
    for (const name in value) {
      if (!Object.hasOwn(value, name)) continue;
      if (++count > limits.sample) break;
      if (!seenKeys.has(name) && keys.length < limits.keys) {
        seenKeys.add(name);
        keys.push(name);
      }
      const member: unknown = (value as Readonly<Record<string, unknown>>)[name];
      pending.push({ value: member, key: name.slice(0, 64), depth: depth + 1 });
    }
  }
  if (elements > 0) measure("elements", elements);
  measureFiles(files, measure);
  for (const file of files.slice(0, limits.keys)) fileNames.push(file.name);
  return { features, keys, files: fileNames, notes };
}

const units: Readonly<Record<string, number>> = {
  k: 1e3,
  thousand: 1e3,
  m: 1e6,
  mio: 1e6,
  million: 1e6,
  bn: 1e9,
  billion: 1e9,
};
const byteUnits: Readonly<Record<string, number>> = {
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
const countable =
  /^(points?|rows?|columns?|vertices|faces|triangles|polygons|epochs?|images?|photos?|pictures?|frames?|samples?|stations?|traces?|holes?|blocks?|files?|prompts?|documents?|users?|requests?|trials?|steps?|episodes?|lines?|reads?|pages?|videos?|tokens?|iterations?|paths?|atoms?|cells?)$/;

/** Sizes said in words: "50,000 points", "2M rows", "4.5 GB", "30 epochs". Reads 2,000 characters. */
export function spokenSizes(description: string): Map<string, number> {
  const sizes = new Map<string, number>();
  const pattern =
    /(\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,6})?)[ ]?([A-Za-z]{1,12})(?:[ -]([A-Za-z]{1,12}))?/g;
  for (const [, digits = "", first = "", second = ""] of description
    .slice(0, 2000)
    .matchAll(pattern)) {
    const number = Number(digits.replaceAll(",", ""));
    const unit = first.toLowerCase();
    if (Object.hasOwn(byteUnits, unit)) {
      sizes.set("bytes", Math.max(sizes.get("bytes") ?? 0, number * (byteUnits[unit] ?? 1)));
      continue;
    }
    const scaled = Object.hasOwn(units, unit);
    const noun = (scaled ? second : first).toLowerCase();
    if (!countable.test(noun)) continue;
    const name = sizeName(noun.endsWith("s") || noun.endsWith("vertices") ? noun : `${noun}s`);
    const value = number * (scaled ? (units[unit] ?? 1) : 1);
    sizes.set(name, Math.max(sizes.get(name) ?? 0, value));
  }
  return sizes;
}

function sizeName(key: string): string {
  const plain = key
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .slice(0, 40);
  return Object.hasOwn(aliases, plain) ? (aliases[plain] ?? plain) : plain;
}

function measureFiles(
  files: readonly TaskFile[],
  measure: (name: string, value: number) => void,
): void {
  if (!Array.isArray(files)) {
    throw fault("QZ_BRAIN_FILES_INVALID", { index: 0, what: "no list around it" });
  }
  if (files.length === 0) return;
  if (files.length > limits.files) {
    throw fault("QZ_BRAIN_FILES_INVALID", {
      index: limits.files,
      what: `too many before it (at most ${limits.files})`,
    });
  }
  let bytes = 0;
  files.forEach((file: TaskFile, index) => {
    if (typeof file?.name !== "string" || file.name.length > 4096) {
      throw fault("QZ_BRAIN_FILES_INVALID", { index, what: "no name of at most 4,096 characters" });
    }
    const size = file.bytes ?? 0;
    if (!Number.isFinite(size) || size < 0) {
      throw fault("QZ_BRAIN_FILES_INVALID", { index, what: `a size of ${size}` });
    }
    bytes += size;
  });
  measure("files", files.length);
  measure("bytes", bytes);
}
