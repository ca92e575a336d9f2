import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openImage } from "@queztl/images/node";
import { AgentClient, Machine } from "../src/index.ts";
import type { MachineKernel } from "../src/index.ts";
import { restoreMachine, saveMachine } from "../src/node/index.ts";
import { VirtioDevices } from "./virtio-devices.ts";
import type { VirtioGuestParts } from "./virtio-devices.ts";

/**
 * A stock Debian guest with every virtio device, for tests that ask much of them: its root is read-only, so that one
 * snapshot of it serves any number of guests.
 */
export class VirtioGuest implements AsyncDisposable {
  readonly machine: Machine;
  readonly agent: AgentClient;
  readonly devices: VirtioDevices;

  private constructor(machine: Machine, agent: AgentClient, devices: VirtioDevices) {
    this.machine = machine;
    this.agent = agent;
    this.devices = devices;
  }

  /** Boots one. */
  static async boot(source: GuestSource, parts: VirtioGuestParts = {}): Promise<VirtioGuest> {
    const devices = new VirtioDevices(source.root, parts);
    const machine = await Machine.create({
      ...source.kernel,
      memoryMib: source.memoryMib,
      devices: devices.factories,
      events: devices.events,
      onSerial: (bytes) => parts.onSerial?.(bytes),
    });
    return VirtioGuest.#connect(machine, devices, 900_000);
  }

  /** Goes on from a snapshot of `save`, with other things behind the devices. */
  static async restore(
    source: GuestSource,
    folder: string,
    parts: VirtioGuestParts = {},
  ): Promise<VirtioGuest> {
    const devices = new VirtioDevices(source.root, parts);
    const machine = await restoreMachine(folder, {
      ...source.kernel,
      devices: devices.factories,
      events: devices.events,
      onSerial: (bytes) => parts.onSerial?.(bytes),
    });
    return VirtioGuest.#connect(machine, devices, 120_000);
  }

  static async #connect(
    machine: Machine,
    devices: VirtioDevices,
    timeoutMs: number,
  ): Promise<VirtioGuest> {
    machine.start();
    try {
      const agent = await AgentClient.connect(devices.agent, { timeoutMs });
      return new VirtioGuest(machine, agent, devices);
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** Pauses the guest and saves it into a folder; it can go on with `machine.start()`. */
  async save(folder: string): Promise<void> {
    await this.machine.pause();
    await saveMachine(this.machine, folder);
  }

  /** Runs a shell script; its output. @throws when its status is not 0. */
  async sh(script: string, timeoutMs = 600_000): Promise<string> {
    const { status, stdout, stderr } = await this.agent.run(["sh", "-c", script], { timeoutMs });
    if (status !== 0) throw new Error(`${script}\nended with ${status}:\n${stdout}${stderr}`);
    return stdout.trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine.stop();
  }
}

/** What every guest of a test starts from. */
export interface GuestSource {
  /** Path of the root disk. */
  readonly root: string;
  readonly kernel: MachineKernel;
  readonly memoryMib: number;
}

/** The image with the tools that the tests run; Debian's own. */
export async function debianSource(
  packages: readonly string[],
  memoryMib = 512,
): Promise<GuestSource> {
  const image = await openImage("debian", { packages });
  if (image.disk === undefined) throw new Error("the image has no disk");
  const commandLine = "console=ttyS0 cryptomgr.notests=1 quiet root=/dev/vda ro";
  const kernel = {
    kernel: await readFile(image.kernel.path),
    initrd: await readFile(image.initramfs.path),
    commandLine,
  };
  return { root: image.disk.path, kernel, memoryMib };
}

/** A folder for a test's files, and how to remove it. */
export function testFolder(name: string): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `queztl-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Resolves once `reached` says so. @throws after so many milliseconds */
export async function until(
  what: string,
  reached: () => boolean,
  timeoutMs = 300_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!reached()) {
    if (performance.now() > end) throw new Error(`time was up before ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
