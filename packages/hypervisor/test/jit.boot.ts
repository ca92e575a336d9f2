import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeCpio } from "@queztl/boot";
import { openImage } from "@queztl/images/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEmulatorEngine } from "../src/index.ts";
import type { MachineKernel } from "../src/index.ts";
import { disk } from "../src/node/index.ts";
import { Guest, PROMPT } from "./guest.ts";

const MINUTES = 60_000;
const MEMORY_MIB = 384;
/** How long a guest makes and throws away code; by hand QUEZTL_CHURN_SECONDS=600. */
const CHURN_SECONDS = Number(process.env["QUEZTL_CHURN_SECONDS"] ?? 40);
/** What translated code may take of the host beside what the guest and the interpreter take. */
const TRANSLATOR_MIB = 150;

const PROGRAMS = ["numbers.lua", "patched.lua", "churn.lua", "program.js"] as const;
const sourceOf = (name: string): string => fileURLToPath(new URL(`./jit/${name}`, import.meta.url));
/** Where they lie in the guest. */
const GUEST = "/run/queztl/jit";

/** What LuaJIT prints on a computer's own processor. */
const LUA: Readonly<Record<string, string>> = {
  "luajit numbers.lua": "9592\t2544\t54449a5f\t499\tw0=60\tw9=60\ntrue",
  "luajit patched.lua": "4264539648\n231\t231\t143477\n46050",
  "luajit churn.lua count 300": "397676",
};

const folder = mkdtempSync(join(tmpdir(), "queztl-jit-"));
afterAll(() => rmSync(folder, { recursive: true }));

let kernel: MachineKernel;
let root: string;
let files: readonly string[];

beforeAll(async () => {
  // This computer's apt may have another Node.js than Debian's.
  const mirrors = ["https://deb.debian.org/debian"];
  const image = await openImage("debian", { packages: ["luajit", "nodejs"], mirrors });
  if (!image.disk) throw new Error("the image has no disk");
  const programs = writeCpio([
    { path: "queztl/jit", type: "directory" },
    ...PROGRAMS.map((name) => ({ path: `queztl/jit/${name}`, data: readFileSync(sourceOf(name)) })),
  ]);
  const initrd = Buffer.concat([readFileSync(image.initramfs.path), programs]);
  const commandLine = "console=ttyS0 quiet cryptomgr.notests=1 root=/dev/vda ro";
  root = image.disk.path;
  kernel = { kernel: readFileSync(image.kernel.path), initrd, commandLine };
  const initrdPath = join(folder, "initramfs.cpio");
  writeFileSync(initrdPath, initrd);
  files = ["--kernel", image.kernel.path, "--initrd", initrdPath, "--append", commandLine];
}, 10 * MINUTES);

test.each(["auto", 0] as const)(
  "LuaJIT and V8 in a guest of tier %s → what they print natively",
  async (tier) => {
    const engine = createEmulatorEngine({ tier });
    const devices = [disk({ path: root, readOnly: true })];
    const options = { ...kernel, engine, devices, memoryMib: MEMORY_MIB };
    await using guest = await Guest.boot(options, 10 * MINUTES);
    // A shell that writes nothing of its own between a command and what that prints.
    await guest.type(`exec env PS1=':''~# ' sh`);
    await guest.console.until(PROMPT, guest.machine);
    const seconds: Record<string, number> = {};
    const run = async (command: string): Promise<string> => {
      const started = performance.now();
      const output = await guest.run(`cd ${GUEST}; ${command}; cd`, 10 * MINUTES);
      seconds[command] = Math.round((performance.now() - started) / 100) / 10;
      return output;
    };
    for (const [command, expected] of Object.entries(LUA)) {
      expect(await run(command)).toBe(expected);
    }
    const here = execFileSync(process.execPath, [sourceOf("program.js")], { encoding: "utf8" });
    expect(await run("node program.js")).toBe(here.trim());
    console.log(`tier ${tier}`, seconds, guest.machine.statistics.translator ?? "");
  },
  20 * MINUTES,
);

test(
  "a guest that makes code and throws it away for a while → the translator's memory stays in its bounds",
  async () => {
    const translated = await churn("auto");
    const interpreted = await churn("0");
    const grown = translated.rssMib - interpreted.rssMib;
    console.log(`${CHURN_SECONDS} s of churn:`, { translated, interpreted, grown });
    expect(translated.made).toBeGreaterThan(50);
    expect(grown).toBeLessThan(TRANSLATOR_MIB);
  },
  20 * MINUTES + 2000 * CHURN_SECONDS,
);

interface Churned {
  /** Functions that the guest made. */
  readonly made: number;
  /** The most memory that the process had at a time. */
  readonly rssMib: number;
}

/** A guest in a process of its own that churns code; what the process took for it. */
async function churn(tier: "auto" | "0"): Promise<Churned> {
  const main = fileURLToPath(new URL("../src/node/main.ts", import.meta.url));
  const options = ["--tier", tier, "--memory", String(MEMORY_MIB), "--disk", `${root},readonly`];
  const node = ["--conditions=@queztl/source", main, "run", ...files, ...options];
  const child = spawn(process.execPath, node, { stdio: ["pipe", "pipe", "inherit"] });
  let rssMib = 0;
  const watch = setInterval(() => (rssMib = Math.max(rssMib, rssOf(child))), 200);
  try {
    const console = new ChildConsole(child);
    await console.until(PROMPT);
    // All of the guest's memory is in use, so that it counts alike.
    child.stdin?.write("mount -t tmpfs -o size=80% tmpfs /tmp; ");
    child.stdin?.write("head -c 250000000 /dev/zero >/tmp/full; rm /tmp/full; ");
    child.stdin?.write(`echo made $(luajit ${GUEST}/churn.lua seconds ${CHURN_SECONDS})\n`);
    const [, made] = await console.match(/made (\d+)/);
    return { made: Number(made), rssMib };
  } finally {
    clearInterval(watch);
    child.kill("SIGKILL");
  }
}

function rssOf({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
}

/** What a machine in another process prints. */
class ChildConsole {
  #text = "";
  #look = (): void => undefined;
  readonly #ended: Promise<never>;

  constructor(child: ChildProcess) {
    child.stdout?.on("data", (data: Buffer) => {
      this.#text += data.toString("latin1");
      this.#look();
    });
    this.#ended = new Promise((_, reject) =>
      child.once("close", () => reject(new Error(`the machine ended: ${this.#text.slice(-1000)}`))),
    );
    this.#ended.catch(() => undefined);
  }

  async until(what: string): Promise<void> {
    await this.#wait(() => this.#text.includes(what) || undefined);
  }

  async match(what: RegExp): Promise<RegExpExecArray> {
    return await this.#wait(() => what.exec(this.#text) ?? undefined);
  }

  #wait<T>(find: () => T | undefined): Promise<T> {
    const found = new Promise<T>((resolve) => {
      this.#look = () => {
        const value = find();
        if (value !== undefined) resolve(value);
      };
      this.#look();
    });
    return Promise.race([found, this.#ended]);
  }
}
