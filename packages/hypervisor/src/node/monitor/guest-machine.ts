import { BalloonDevice, BlockDevice, NetDevice, RngDevice } from "@queztl/virtio";
import type { OverlayDisk, RateLimit } from "@queztl/virtio";
import { ConsoleChannel } from "../../agent/channel.ts";
import { Machine } from "../../machine.ts";
import type { DeviceFactory, MachineEvents, MachineSurroundings } from "../../machine-options.ts";
import { balloon, network } from "../host-devices.ts";
import { kernelReader, readKernelFiles } from "../host-files.ts";
import { restoreMachine } from "../snapshot-folder.ts";
import type { VmConfig } from "../vm/vm-config.ts";
import { DiskDrive } from "./disk-drive.ts";
import { DiskQuota } from "./quota-file.ts";
import { openVmDisk } from "./vm-disks.ts";

/** What a monitor does with what comes out of its machine. */
export interface GuestMachineHost {
  readonly onSerial: (bytes: Uint8Array) => boolean;
  readonly onDiskError: (error: unknown) => void;
  /** The disks hold all that they may. */
  readonly onDiskFull: () => void;
  readonly events: MachineEvents;
}

/** A VM's machine, and the devices that the monitor works. */
export interface GuestMachine {
  readonly machine: Machine;
  readonly agent: ConsoleChannel;
  readonly balloon: BalloonDevice;
  readonly disks: readonly BlockDevice[];
  /** What of the disks is in the VM's folder, by the disks' numbers. */
  readonly overlays: ReadonlyMap<number, OverlayDisk>;
  /** Into which disks are put while it runs. */
  readonly drives: readonly DiskDrive[];
  readonly quota: DiskQuota;
  readonly network: NetDevice | undefined;
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
  const overlays = new Map<number, OverlayDisk>();
  const { limits } = config;
  const quota = new DiskQuota(limits.diskBytes ?? Infinity, host.onDiskFull);
  const drives = Array.from({ length: config.drives }, () => new DiskDrive());
  const made: { balloon?: BalloonDevice; network?: NetDevice } = {};
  const devices: DeviceFactory[] = [
    agent.device,
    ({ entropy }) => new RngDevice({ entropy }),
    async (parts) => {
      const device = await balloon(parts);
      if (device instanceof BalloonDevice) made.balloon = device;
      return device;
    },
    ...config.disks.map((_, index): DeviceFactory => async ({ clock }) => {
      const { backend, overlay } = await openVmDisk(config, folder, index, quota);
      if (overlay) overlays.set(index, overlay);
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
    ...drives.map((drive, index): DeviceFactory => ({ clock }) => {
      const serial = driveSerial(index);
      const limits = diskLimits(config);
      const device = new BlockDevice({
        backend: drive,
        clock,
        serial,
        limits,
        onError: host.onDiskError,
      });
      drive.onChange = () => device.capacityChanged();
      disks.push(device);
      return device;
    }),
    ...(config.network ? [networkOf(config, (device) => (made.network = device))] : []),
  ];
  const initrds = kernel.initramfs === undefined ? [] : [kernel.initramfs];
  const { onSerial, events } = host;
  const files = [kernel.path, initrds, kernel.commandLine] as const;
  const surroundings: MachineSurroundings = {
    kernel: snapshot === undefined ? await kernelReader(...files) : () => readKernelFiles(...files),
    devices,
    onSerial,
    events,
    ...(limits.cpuShare !== undefined && { cpuShare: limits.cpuShare }),
  };
  const machine =
    snapshot === undefined
      ? await Machine.create({ ...surroundings, ...sizeOf(config) })
      : await restoreMachine(snapshot, surroundings);
  return {
    machine,
    agent,
    balloon: made.balloon as BalloonDevice,
    disks,
    overlays,
    drives,
    quota,
    network: made.network,
  };
}

/** By what a guest finds a drive, under /dev/disk/by-id and in /sys/block. */
export function driveSerial(index: number): string {
  return `queztl-drive-${index}`;
}

function networkOf(config: VmConfig, made: (device: NetDevice) => void): DeviceFactory {
  const argument = config.network as NonNullable<VmConfig["network"]>;
  const factory = network(argument, config.limits.networkBytesPerSecond);
  return async (host) => {
    const device = await factory(host);
    if (device instanceof NetDevice) made(device);
    return device;
  };
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
