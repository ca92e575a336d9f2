import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCpio } from "@queztl/boot";
import type { Flavour } from "@queztl/images";
import { buildImage, openImage } from "@queztl/images/node";
import { qemuTcg, qemuTcg32, queztlVm, v86 } from "./emulators.ts";
import type { Emulator, MachineFiles } from "./emulators.ts";
import { GuestShell } from "./guest-shell.ts";

const MEMORY_MIB = 512;
/** Where what a bench brings along lies: for the initramfs, in any guest, and on this computer. */
const FOLDER = "queztl/bench";

/** Who can run the work of a bench. v86 runs 32-bit guests only. */
export type Runner = "queztl" | "qemu tcg" | "v86" | "native";

/** What a runner is in a guest of these bits; undefined for this computer itself. */
export function emulatorOf(runner: Runner, bits: 32 | 64): Emulator | undefined {
  const emulators: Readonly<Partial<Record<Runner, Emulator>>> = {
    queztl: queztlVm,
    "qemu tcg": bits === 32 ? qemuTcg32 : qemuTcg,
    v86,
  };
  return emulators[runner];
}

/** A guest that is the same under all emulators; on this computer its programs are run as they are. */
export interface GuestRecipe {
  /** Further Debian packages, on a disk; without, the guest is the initramfs alone. */
  readonly packages?: readonly string[];
  /** The kernel of a guest without packages; default "cloud". */
  readonly flavour?: Flavour;
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

  /** How wide the guest's kernel is. */
  get bits(): 32 | 64 {
    return this.#recipe.flavour === "i386" ? 32 : 64;
  }

  of(runner: Runner): Promise<Guest> {
    const guest = this.#guests.get(runner) ?? this.#start(runner);
    this.#guests.set(runner, guest);
    return guest;
  }

  async #start(runner: Runner): Promise<Guest> {
    this.#made ??= this.#make();
    const { machine, folder } = await this.#made;
    const emulator = emulatorOf(runner, this.bits);
    const started = emulator
      ? {
          shell: await GuestShell.boot(emulator.program, emulator.args(machine)),
          folder: `/run/${FOLDER}`,
        }
      : { shell: GuestShell.host(), folder };
    process.once("exit", () => started.shell.kill());
    return started;
  }

  /** The recipe's files in a folder of this computer, and in an archive behind the image's initramfs. */
  async #make() {
    const { packages, flavour = "cloud" } = this.#recipe;
    const disk = packages && (await openImage("debian", { packages }));
    const image = disk ?? (await buildImage({ flavour }));
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
    const root = disk ? "root=/dev/vda ro" : "";
    const machine: MachineFiles = {
      kernel: image.kernel.path,
      bzImage: image.bzImage.path,
      initrd,
      append: `console=ttyS0 quiet cryptomgr.notests=1 ${root}`.trim(),
      memoryMib: MEMORY_MIB,
      disk: disk?.disk?.path,
    };
    return { machine, folder };
  }
}
