import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCpio } from "@queztl/boot";
import { openImage } from "@queztl/images/node";
import { qemuTcg, queztlVm } from "./emulators.ts";
import type { MachineFiles } from "./emulators.ts";
import { GuestShell } from "./guest-shell.ts";

const MEMORY_MIB = 512;
/** Where what a bench brings along lies: for the initramfs, in any guest, and on this computer. */
const FOLDER = "queztl/bench";

/** Who runs the work of a bench: ours, the peers, in the order of their columns. */
export const RUNNERS = ["queztl", "qemu tcg", "native"] as const;
export type Runner = (typeof RUNNERS)[number];

/** A guest that is the same under both emulators; on this computer its programs are run as they are. */
export interface GuestRecipe {
  /** Further Debian packages, on a disk; without, the guest is the initramfs alone. */
  readonly packages?: readonly string[];
  /** Executables and data that the work needs, by their name; @param machine what is booted. */
  files(machine: { readonly kernel: string }): Readonly<Record<string, Uint8Array>>;
}

/** A shell in one of the runners, and the folder with the recipe's files there. */
export interface Guest {
  readonly shell: GuestShell;
  readonly folder: string;
}

/** Boots the machines of a recipe when they are first asked for; they stay until the process ends. */
export class Guests {
  readonly #recipe: GuestRecipe;
  readonly #guests = new Map<Runner, Promise<Guest>>();
  #made: Promise<{ readonly machine: MachineFiles; readonly folder: string }> | undefined;

  constructor(recipe: GuestRecipe) {
    this.#recipe = recipe;
  }

  of(runner: Runner): Promise<Guest> {
    const guest = this.#guests.get(runner) ?? this.#start(runner);
    this.#guests.set(runner, guest);
    return guest;
  }

  async #start(runner: Runner): Promise<Guest> {
    this.#made ??= this.#make();
    const { machine, folder } = await this.#made;
    const started =
      runner === "native"
        ? { shell: GuestShell.host(), folder }
        : { shell: await boot(runner, machine), folder: `/run/${FOLDER}` };
    process.once("exit", () => started.shell.kill());
    return started;
  }

  /** The recipe's files in a folder of this computer, and in an archive behind the image's initramfs. */
  async #make() {
    const { packages } = this.#recipe;
    const image = packages ? await openImage("debian", { packages }) : await openImage("base");
    const folder = mkdtempSync(join(tmpdir(), "queztl-bench-"));
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    const files = Object.entries(this.#recipe.files({ kernel: image.kernel.path }));
    for (const [name, data] of files) writeFileSync(join(folder, name), data, { mode: 0o755 });
    const archive = writeCpio([
      { path: FOLDER, type: "directory" },
      ...files.map(([name, data]) => ({ path: `${FOLDER}/${name}`, mode: 0o755, data })),
    ]);
    const initrd = join(folder, "initramfs.cpio");
    writeFileSync(initrd, Buffer.concat([readFileSync(image.initramfs.path), archive]));
    const root = image.disk ? "root=/dev/vda ro" : "";
    const machine: MachineFiles = {
      kernel: image.kernel.path,
      initrd,
      append: `console=ttyS0 quiet cryptomgr.notests=1 ${root}`.trim(),
      memoryMib: MEMORY_MIB,
      disk: image.disk?.path,
    };
    return { machine, folder };
  }
}

async function boot(runner: "queztl" | "qemu tcg", machine: MachineFiles): Promise<GuestShell> {
  const { program, args } = runner === "queztl" ? queztlVm : qemuTcg;
  return await GuestShell.boot(program, args(machine));
}
