import { isAbsolute, join } from "node:path";
import { HostMemory } from "@queztl/memory/node";
import { BalloonDevice, BlockDevice, OverlayDisk, RawDisk, RngDevice } from "@queztl/virtio";
import type { BlockBackend, RateLimit } from "@queztl/virtio";
import { NodeFile } from "@queztl/virtio/node";
import { ConsoleChannel } from "../../agent/channel.ts";
import { Machine } from "../../machine.ts";
import type { DeviceFactory, MachineEvents, MachineSurroundings } from "../../machine-options.ts";
import { network } from "../host-devices.ts";
import { readKernelFiles } from "../host-files.ts";
import { restoreMachine } from "../snapshot-folder.ts";
import type { VmConfig } from "../vm/vm-config.ts";

/** What a monitor does with what comes out of its machine. */
export interface GuestMachineHost {
  readonly onSerial: (bytes: Uint8Array) => boolean;
  readonly onDiskError: (error: unknown) => void;
  readonly events: MachineEvents;
}

/** A VM's machine, and the devices that the monitor works. */
export interface GuestMachine {
  readonly machine: Machine;
  readonly agent: ConsoleChannel;
  readonly balloon: BalloonDevice;
  readonly disks: readonly BlockDevice[];
}

/** Makes the machine of a configuration: at its boot, or where a snapshot was. @param folder the VM's. */
export async function createGuestMachine(
  config: VmConfig,
  folder: string,
  host: GuestMachineHost,
  snapshot?: string,
): Promise<GuestMachine> {
  const { kernel } = config;
  const agent = new ConsoleChannel();
  const disks: BlockDevice[] = [];
  const made: { balloon?: BalloonDevice } = {};
  const devices: DeviceFactory[] = [
    agent.device,
    ({ entropy }) => new RngDevice({ entropy }),
    async ({ memory }) => {
      const hostMemory = await HostMemory.open(memory);
      made.balloon = new BalloonDevice({
        discard(address, length) {
          // The guest may name what is no RAM.
          if (memory.offsetOf(address, length) >= 0) hostMemory.discard(address, length);
        },
      });
      return made.balloon;
    },
    ...config.disks.map((_, index): DeviceFactory => async ({ clock }) => {
      const backend = await openDisk(config, folder, index);
      const device = new BlockDevice({
        backend,
        clock,
        serial: `queztl-${index}`,
        limits: diskLimits(config),
        onError: host.onDiskError,
      });
      disks.push(device);
      return device;
    }),
    ...(config.network ? [network(config.network)] : []),
  ];
  const files = await readKernelFiles(
    kernel.path,
    kernel.initramfs === undefined ? [] : [kernel.initramfs],
    kernel.commandLine,
  );
  const { onSerial, events } = host;
  const surroundings: MachineSurroundings = { ...files, devices, onSerial, events };
  const machine =
    snapshot === undefined
      ? await Machine.create({ ...surroundings, ...sizeOf(config) })
      : await restoreMachine(snapshot, surroundings);
  return { machine, agent, balloon: made.balloon as BalloonDevice, disks };
}

function sizeOf({ machine: { memoryMib, cpus, seed } }: VmConfig) {
  return { memoryMib, cpus, ...(seed !== undefined && { seed }) };
}

function diskLimits({ limits }: VmConfig): { bytes?: RateLimit; requests?: RateLimit } {
  const { diskBytesPerSecond, diskRequestsPerSecond } = limits;
  return {
    ...(diskBytesPerSecond !== undefined && { bytes: { perSecond: diskBytesPerSecond } }),
    ...(diskRequestsPerSecond !== undefined && { requests: { perSecond: diskRequestsPerSecond } }),
  };
}

/** The files of a disk's overlay, in the VM's folder and in its snapshots. */
export function overlayFiles(folder: string, index: number): { data: string; map: string } {
  return {
    data: join(folder, `disk-${index}.overlay`),
    map: join(folder, `disk-${index}.map`),
  };
}

async function openDisk(config: VmConfig, folder: string, index: number): Promise<BlockBackend> {
  const { path, mode } = config.disks[index] as VmConfig["disks"][number];
  const place = isAbsolute(path) ? path : join(folder, path);
  const readOnly = mode !== "direct";
  const opened: NodeFile[] = [];
  const openFile = async (...args: Parameters<typeof NodeFile.open>): Promise<NodeFile> => {
    const file = await NodeFile.open(...args);
    opened.push(file);
    return file;
  };
  try {
    const base = await RawDisk.open(await openFile(place, { readOnly }), { readOnly });
    if (mode !== "overlay") return base;
    const { data, map } = overlayFiles(folder, index);
    const mapBytes = Math.ceil(base.capacity / 4096 / 8);
    return await OverlayDisk.open({
      base,
      file: await openFile(data, { create: { size: base.capacity } }),
      map: await openFile(map, { create: { size: mapBytes } }),
    });
  } catch (error) {
    for (const file of opened) await file.close();
    throw error;
  }
}
