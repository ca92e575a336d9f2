import { createHash, randomUUID } from "node:crypto";
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { compileInterpreterBy } from "@queztl/cpu";

/** When a machine has run enough of the interpreter for V8 to have compiled it well, each time more. */
const KEEP_AFTER_MS = [2000, 10_000, 60_000];
/** By how much what was compiled must have grown to be kept anew. */
const WORTH_IT = 1.05;
const NAME = "interpreter-";
/** How many files stay: other releases, flags and sizes of guests have files of their own, and come in turns. */
const MOST_KEPT = 8;
const NATIVES = "allow-natives-syntax";

/**
 * What keeps compiled code: V8 has this for browsers, and Node.js hands it to nobody but by V8's own syntax. It checks
 * its version, its flags and the processor's features itself; that the bytes are those it wrote is for us to see to.
 */
interface Keeper {
  /** Ends the process where no function was compiled by the optimising compiler. */
  serialize(module: WebAssembly.Module): ArrayBuffer;
  isOptimised(run: object): boolean;
  deserialize(code: ArrayBuffer, bytes: Uint8Array): WebAssembly.Module | undefined;
}

/** Undefined where this V8 has no such functions. */
function keeper(): Keeper | undefined {
  try {
    return withNatives(
      () =>
        runInThisContext(`({
          isOptimised: (run) => %IsTurboFanFunction(run),
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
  compileInterpreterBy((code) => {
    // Sources may have changed since the machine before: only what they write tells what they are.
    let { sha256: digest } = code;
    let written: Uint8Array<ArrayBuffer> | undefined;
    if (digest === undefined) {
      written = code.write();
      digest = hexSha256(written);
    }
    const kept = new KeptCode(join(home, "cache"), digest);
    const found = kept.read((bytes, machineCode) =>
      withNatives(() => v8.deserialize(machineCode, bytes)),
    );
    const bytes = found?.bytes ?? written ?? code.write();
    const module = found?.made ?? new WebAssembly.Module(bytes);
    // The machine may be gone by then, and all its memory with it.
    let latest: WeakRef<object> | undefined;
    const keep = (): void => {
      const run = latest?.deref();
      withNatives(() => {
        // A machine that did not run, or hardly, has nothing worth keeping, and V8 nothing to write.
        if (run && v8.isOptimised(run)) kept.write(bytes, v8.serialize(module));
      });
    };
    for (const after of KEEP_AFTER_MS) setTimeout(keep, after).unref();
    return {
      module,
      instantiated: ({ exports }) => (latest = new WeakRef(Object(exports["run"]))),
    };
  });
}

const HASH_BYTES = 32;
const HEAD_BYTES = HASH_BYTES + 4;
const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const hexSha256 = (bytes: Uint8Array): string => sha256(bytes).toString("hex");

/**
 * WebAssembly and what V8 compiled of it, in a file: the SHA-256 of the machine code, the length of the WebAssembly, then both.
 * Another V8, other flags or other WebAssembly have another file.
 */
export class KeptCode {
  readonly #folder: string;
  readonly #path: string;
  readonly #digest: string;
  #length = 0;

  /** @param digest the SHA-256 of the WebAssembly, in hexadecimal. */
  constructor(folder: string, digest: string) {
    const { v8, modules } = process.versions;
    // V8 refuses what it compiled with other flags: processes with others would overwrite it by turns.
    const flags = `${process.execArgv.join(" ")} ${process.env["NODE_OPTIONS"] ?? ""}`;
    const version = `${v8} ${modules} ${process.arch} ${process.platform} ${flags}\n`;
    const key = hexSha256(Buffer.from(`${version}${digest}`)).slice(0, 16);
    this.#folder = folder;
    this.#path = join(folder, `${NAME}${key}`);
    this.#digest = digest;
  }

  /** What `use` makes of what is there; undefined without such, or where it is damaged or another user's. */
  read<Made>(
    use: (bytes: Uint8Array<ArrayBuffer>, machineCode: ArrayBuffer) => Made | undefined,
  ): { readonly made: Made; readonly bytes: Uint8Array<ArrayBuffer> } | undefined {
    try {
      const { uid } = statSync(this.#path);
      if (process.getuid !== undefined && uid !== process.getuid()) return undefined;
      const file = readFileSync(this.#path);
      const end = HEAD_BYTES + file.readUInt32LE(HASH_BYTES);
      const bytes = new Uint8Array(file.subarray(HEAD_BYTES, end));
      const machineCode = new Uint8Array(file.subarray(end));
      if (hexSha256(bytes) !== this.#digest) return undefined;
      if (!sha256(machineCode).equals(file.subarray(0, HASH_BYTES))) return undefined;
      const made = use(bytes, machineCode.buffer);
      if (made === undefined) return undefined;
      this.#length = machineCode.length;
      this.#markUsed();
      return { made, bytes };
    } catch {
      return undefined;
    }
  }

  /** Keeps code that has grown since, whole or not at all. */
  write(bytes: Uint8Array, compiled: ArrayBuffer): void {
    if (compiled.byteLength < this.#length * WORTH_IT || hexSha256(bytes) !== this.#digest) return;
    const draft = `${this.#path}.${randomUUID()}`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      const machineCode = new Uint8Array(compiled);
      const head = Buffer.alloc(HEAD_BYTES);
      sha256(machineCode).copy(head);
      head.writeUInt32LE(bytes.length, HASH_BYTES);
      writeFileSync(draft, Buffer.concat([head, bytes, machineCode]), { mode: 0o600, flag: "wx" });
      renameSync(draft, this.#path);
      this.#length = compiled.byteLength;
    } catch {
      // A full disk or a folder that cannot be written costs speed, no more.
      forget(draft);
    }
    prune(this.#folder);
  }

  /** Those not used for longest go first. */
  #markUsed(): void {
    const now = new Date();
    try {
      utimesSync(this.#path, now, now);
    } catch {
      // A folder that cannot be written: nothing goes from it either.
    }
  }
}

/** Removes what was not used for longest; a process that reads it meanwhile has it open, or compiles anew. */
function prune(folder: string): void {
  try {
    const files = readdirSync(folder)
      .filter((name) => name.startsWith(NAME))
      .map((name) => join(folder, name))
      .map((path) => ({ path, used: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
      .sort((one, other) => other.used - one.used);
    for (const { path } of files.slice(MOST_KEPT)) forget(path);
  } catch {
    // Then it stays as it is.
  }
}

function forget(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Then there is none.
  }
}
