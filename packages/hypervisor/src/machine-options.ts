import type { FlatImage } from "@queztl/boot";
import type { PanicEvent } from "@queztl/chipset";
import { MAX_RAM_BYTES, mostRamBytes } from "@queztl/memory";
import type { Clock, Entropy, GuestMemory } from "@queztl/memory";
import type { VirtioDevice } from "@queztl/virtio";
import type { Engine } from "./engine.ts";
import { hypervisorError } from "./errors.ts";
import type { MachineEnd, MachineState } from "./machine-end.ts";

/** What is booted; also at every reset. */
export interface MachineKernel {
  /** A bzImage, an ELF or multiboot kernel, or with `flat` anything. */
  readonly kernel: Uint8Array;
  /** The initial RAM disk; a multiboot kernel's first module. */
  readonly initrd?: Uint8Array;
  /** Further modules of a multiboot kernel. */
  readonly modules?: readonly { readonly bytes: Uint8Array; readonly commandLine?: string }[];
  readonly commandLine?: string;
  readonly flat?: FlatImage;
}

/** What a device is made with. */
export interface DeviceHost {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** Makes a virtio device of a machine, which closes it at its end. */
export type DeviceFactory = (host: DeviceHost) => VirtioDevice | Promise<VirtioDevice>;

/** What happens in a machine. None of them may throw. */
export interface MachineEvents {
  readonly onState?: (state: MachineState) => void;
  readonly onEnd?: (end: MachineEnd) => void;
  /** The guest, or `reset`, starts the machine anew. */
  readonly onReset?: () => void;
  /** The guest's kernel says, through its `pvpanic` driver, that it panicked. The machine goes on: it may reset itself. */
  readonly onPanic?: (event: PanicEvent) => void;
  /** A device stopped working for its guest: the driver broke the protocol. */
  readonly onDeviceFault?: (device: string, error: Error) => void;
}

/** What of a machine is not in its snapshot. */
export interface MachineSurroundings extends Omit<MachineKernel, "kernel"> {
  /**
   * The kernel; or what reads it, and all that goes with it, when it is needed: for the boot and each reset. Then the
   * machine does not keep it in memory, and a restored one does not read it.
   */
  readonly kernel: Uint8Array | (() => Promise<MachineKernel>);
  readonly engine?: Engine;
  /**
   * Takes the bytes that the guest writes to its first serial port. `false` has the guest wait for
   * `serial.resumeOutput()`; the bytes given are taken all the same.
   */
  readonly onSerial?: (bytes: Uint8Array) => boolean | void;
  /** Virtio devices, each in a PCI slot of its own, in this order. */
  readonly devices?: readonly DeviceFactory[];
  /** Adds a debug-exit port at 0xf4. */
  readonly debugExit?: boolean;
  /** What a reset by the guest does: start anew (the default), or end the machine. */
  readonly onGuestReset?: "restart" | "end";
  /** How many host processors it may keep busy on average, such as 0.5; default as many as it can. */
  readonly cpuShare?: number;
  readonly events?: MachineEvents;
}

/** How a machine is made. */
export interface MachineOptions extends MachineSurroundings {
  /** Guest RAM in MiB; default 512. */
  readonly memoryMib?: number;
  /** Processors; default 1. */
  readonly cpus?: number;
  /**
   * Makes the run repeat exactly: time passes by executed instructions, random numbers follow the seed.
   * What comes from outside (serial input, network, when a disk answers) repeats only if it does by itself.
   */
  readonly seed?: number;
}

/** The size of a machine, checked. */
export interface MachineShape {
  readonly memoryMib: number;
  readonly cpus: number;
  readonly seed: number | undefined;
}

/** The most processors of a machine. */
export const MAX_CPUS = 64;
export const MAX_MEMORY_MIB = MAX_RAM_BYTES / 2 ** 20;

/** The most memory that a machine can have on this host, in MiB. */
export function mostMemoryMib(): number {
  return mostRamBytes() / 2 ** 20;
}

/** @throws QZ_HYPERVISOR_OPTIONS */
export function checkShape(options: {
  readonly memoryMib?: number;
  readonly cpus?: number;
  readonly seed?: number | undefined;
}): MachineShape {
  const { memoryMib = 512, cpus = 1, seed } = options;
  check("cpus", cpus, 1, MAX_CPUS);
  check("memoryMib", memoryMib, 1, MAX_MEMORY_MIB);
  if (seed !== undefined) check("seed", seed, 0, 0xffffffff);
  return { memoryMib, cpus, seed };
}

function check(option: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const expected = `give a whole number from ${least} to ${most}`;
  throw hypervisorError("QZ_HYPERVISOR_OPTIONS", { option, value: String(value), expected });
}
