import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { compileInterpreterBy } from "@queztl/cpu";

/** When a machine has run enough of the interpreter for V8 to have compiled it well, each time more. */
const KEEP_AFTER_MS = [2000, 10_000, 60_000];
/** By how much what was compiled must have grown to be kept anew. */
const WORTH_IT = 1.05;
const NATIVES = "allow-natives-syntax";

/**
 * What keeps compiled code: V8 has this for browsers, and Node.js hands it to nobody but by V8's own syntax. It checks
 * its version, its flags and the processor's features itself; that the bytes are those it wrote is for us to see to.
 */
interface Keeper {
  serialize(module: WebAssembly.Module): ArrayBuffer;
  deserialize(code: ArrayBuffer, bytes: Uint8Array): WebAssembly.Module | undefined;
}

/** Undefined where this V8 has no such functions. */
function keeper(): Keeper | undefined {
  try {
    return withNatives(
      () =>
        runInThisContext(`({
          serialize: (module) => %SerializeWasmModule(module),
          deserialize: (code, bytes) => %DeserializeWasmModule(code, bytes),
        })`) as Keeper,
    );
  } catch {
    return undefined;
  }
}

function withNatives<Result>(work: () => Result): Result {
  setFlagsFromString(`--${NATIVES}`);
  try {
    return work();
  } finally {
    setFlagsFromString(`--no-${NATIVES}`);
  }
}

/**
 * Has the interpreter of this process's machines taken as V8 compiled it for the machine before, which saves the time in which
 * it runs as compiled in haste. Kept below `home`, QUEZTL_HOME or `~/.queztl` unless given; whatever is wrong
 * there only makes the interpreter be compiled again.
 */
export function keepInterpreter(
  home: string = process.env["QUEZTL_HOME"] || join(homedir(), ".queztl"),
): void {
  const v8 = keeper();
  if (v8 === undefined) return;
  compileInterpreterBy((bytes) => {
    const folder = join(home, "cache");
    const kept = new KeptCode(folder, bytes);
    const module =
      kept.read((code) => withNatives(() => v8.deserialize(code, bytes))) ??
      new WebAssembly.Module(bytes);
    for (const after of KEEP_AFTER_MS) {
      setTimeout(() => kept.write(withNatives(() => v8.serialize(module))), after).unref();
    }
    return module;
  });
}

const HASH_BYTES = 32;
const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Compiled code in a file: its SHA-256, then itself. Another V8, other flags or other bytes have another file. */
export class KeptCode {
  readonly #folder: string;
  readonly #path: string;
  #length = 0;

  constructor(folder: string, bytes: Uint8Array) {
    const { v8, modules } = process.versions;
    // V8 refuses what it compiled with other flags: processes with others would overwrite it by turns.
    const flags = `${process.execArgv.join(" ")} ${process.env["NODE_OPTIONS"] ?? ""}`;
    const version = `${v8} ${modules} ${process.arch} ${process.platform} ${flags}\n`;
    const key = sha256(Buffer.from(version), bytes).toString("hex").slice(0, 16);
    this.#folder = folder;
    this.#path = join(folder, `interpreter-${key}`);
  }

  /** What `use` makes of the code that is there; undefined without such, or where it is damaged or another user's. */
  read<Made>(use: (code: ArrayBuffer) => Made | undefined): Made | undefined {
    try {
      const { uid } = statSync(this.#path);
      if (process.getuid !== undefined && uid !== process.getuid()) return undefined;
      const file = readFileSync(this.#path);
      const code = new Uint8Array(file.subarray(HASH_BYTES));
      if (!sha256(code).equals(file.subarray(0, HASH_BYTES))) return undefined;
      const made = use(code.buffer);
      if (made !== undefined) this.#length = code.length;
      return made;
    } catch {
      return undefined;
    }
  }

  /** Keeps code that has grown since, whole or not at all. */
  write(code: ArrayBuffer): void {
    if (code.byteLength < this.#length * WORTH_IT) return;
    const draft = `${this.#path}.${randomUUID()}`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      const bytes = new Uint8Array(code);
      writeFileSync(draft, Buffer.concat([sha256(bytes), bytes]), { mode: 0o600, flag: "wx" });
      renameSync(draft, this.#path);
      this.#length = code.byteLength;
    } catch {
      // A full disk or a folder that cannot be written costs speed, no more.
      forget(draft);
    }
  }
}

function forget(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Then there is none.
  }
}
