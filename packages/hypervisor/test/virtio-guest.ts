import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openImage } from "@queztl/images/node";
import type { Image } from "@queztl/images/node";
import { HostMemory } from "@queztl/memory/node";
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  MemoryFile,
  NetDevice,
  RawDisk,
  RngDevice,
  Switch,
  UserNetwork,
} from "@queztl/virtio";
import type { BlockBackend, Network, UserNetworkOptions } from "@queztl/virtio";
import { NodeFile, nodeSockets } from "@queztl/virtio/node";
import { AgentClient, ConsoleChannel, Machine } from "../src/index.ts";
import type { DeviceFactory, MachineKernel } from "../src/index.ts";
import { restoreMachine, saveMachine } from "../src/node/index.ts";

/** Bytes of the guest's second disk, `/dev/vdb`, unless a test brings its own. */
export const SCRATCH_BYTES = 256 << 20;

/** What a test puts behind the devices of a guest. */
export interface VirtioGuestParts {
  /** Behind `/dev/vdb`; a restored guest must get one of the same size. Default: empty, in memory. */
  readonly scratch?: BlockBackend;
  /** Behind `eth0`; default: a NAT that may reach the host's loopback. */
  readonly network?: Network;
  readonly user?: Partial<UserNetworkOptions>;
  /** Takes what the guest writes to `/dev/hvc0`. */
  readonly onTerminal?: (bytes: Uint8Array) => void;
  readonly onSerial?: (bytes: Uint8Array) => void;
}

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
    const devices = new VirtioDevices(source, parts);
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
    const devices = new VirtioDevices(source, parts);
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
  readonly image: Image;
  readonly kernel: MachineKernel;
  readonly memoryMib: number;
}

/** The image with the tools that the tests run; Debian's own. */
export async function debianSource(
  packages: readonly string[],
  memoryMib = 512,
): Promise<GuestSource> {
  const image = await openImage("debian", { packages });
  const commandLine = "console=ttyS0 cryptomgr.notests=1 quiet root=/dev/vda ro";
  const kernel = {
    kernel: await readFile(image.kernel.path),
    initrd: await readFile(image.initramfs.path),
    commandLine,
  };
  return { image, kernel, memoryMib };
}

/** The devices of one guest. */
export class VirtioDevices {
  readonly agent = new ConsoleChannel();
  readonly faults: Error[] = [];
  readonly events = {
    onDeviceFault: (device: string, cause: Error): void =>
      void this.faults.push(new Error(device, { cause })),
  };
  readonly factories: readonly DeviceFactory[];
  scratch!: BlockDevice;
  net!: NetDevice;
  console!: ConsoleDevice;
  balloon!: BalloonDevice;
  user: UserNetwork | undefined;

  constructor({ image }: GuestSource, parts: VirtioGuestParts) {
    const { disk } = image;
    if (disk === undefined) throw new Error(`${image.name} has no disk`);
    this.factories = [
      async ({ clock }) => {
        const file = await NodeFile.open(disk.path, { readOnly: true });
        return new BlockDevice({ backend: await RawDisk.open(file), clock });
      },
      async ({ clock }) => {
        const backend = parts.scratch ?? (await RawDisk.open(new MemoryFile(SCRATCH_BYTES)));
        return (this.scratch = new BlockDevice({ backend, clock }));
      },
      async ({ clock, entropy }) => {
        const mac = "52:54:00:00:00:01";
        if (parts.network) return (this.net = new NetDevice({ network: parts.network, mac }));
        const access = { allow: ["127.0.0.1"] };
        const options = { clock, entropy, sockets: nodeSockets(), access, ...parts.user };
        const network = (this.user = await UserNetwork.open(options));
        return (this.net = new NetDevice({ network, mac }));
      },
      () => {
        const onOutput = parts.onTerminal ?? (() => undefined);
        const console = new ConsoleDevice({
          ports: [{ name: "console", onOutput }, this.agent.port],
        });
        this.agent.connect(console);
        return (this.console = console);
      },
      () => new RngDevice(),
      async ({ memory, clock }) => {
        const host = await HostMemory.open(memory);
        const discard = (address: number, length: number): void => {
          if (memory.offsetOf(address, length) >= 0) host.discard(address, length);
        };
        return (this.balloon = new BalloonDevice({ discard, clock }));
      },
    ];
  }
}

/** A folder for a test's files, and how to remove it. */
export function testFolder(name: string): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `queztl-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A switch, for guests that are to see each other. */
export const lan = (): Switch => new Switch();
