import { buildAcpiTables, buildSmbiosTables, loadKernel } from "@queztl/boot";
import type { BootPlan } from "@queztl/boot";
import { createPc, pcPlatform } from "@queztl/chipset";
import type { PanicEvent, Pc, PcState } from "@queztl/chipset";
import {
  GuestMemory,
  SeededEntropy,
  createMmioBus,
  createPortBus,
  hostEntropy,
} from "@queztl/memory";
import type { Entropy } from "@queztl/memory";
import { PciTransport } from "@queztl/virtio";
import type { PciTransportState } from "@queztl/virtio";
import { CountedBus } from "./counted-bus.ts";
import type { Engine, EngineInstance, ProcessorsState } from "./engine.ts";
import { hypervisorError } from "./errors.ts";
import type { DeviceFactory, MachineKernel, MachineShape } from "./machine-options.ts";
import { MachineTime } from "./machine-time.ts";
import type { TimeState } from "./machine-time.ts";

const MIB = 1024 * 1024;
const ECAM = pcPlatform.pci.ecam;

/** What a board tells its machine. */
export interface BoardHost {
  readonly serialOutput: (bytes: Uint8Array) => boolean | void;
  readonly serialRoom: () => void;
  /** Something may have become runnable. */
  readonly wake: () => void;
  readonly reset: () => void;
  readonly powerOff: () => void;
  readonly exit: ((status: number) => void) | undefined;
  readonly panic: (event: PanicEvent) => void;
  readonly deviceFault: (device: string, error: Error) => void;
}

/** The saved hardware of a machine, without its memory. */
export interface BoardState {
  readonly time: TimeState;
  /** The random generator of a seeded run. */
  readonly entropy: readonly number[] | undefined;
  readonly pc: PcState;
  readonly devices: readonly PciTransportState[];
  readonly processors: ProcessorsState;
}

/** The hardware of one machine: memory, buses, processors, chips and devices, wired together. */
export class Board {
  readonly memory: GuestMemory;
  readonly ports = new CountedBus(createPortBus().shape);
  readonly mmio = new CountedBus(createMmioBus().shape);
  readonly time: MachineTime;
  readonly entropy: Entropy;
  readonly engine: EngineInstance;
  readonly pc: Pc;
  readonly devices: PciTransport[] = [];
  readonly #shape: MachineShape;
  readonly #host: BoardHost;
  #intr = false;

  /** @throws QZ_MEMORY_UNAVAILABLE, QZ_MEMORY_SIZE */
  constructor(shape: MachineShape, engine: Engine, host: BoardHost, saved?: TimeState) {
    const { cpus, seed } = shape;
    this.#shape = shape;
    this.#host = host;
    const ramBytes = shape.memoryMib * MIB;
    this.memory = new GuestMemory({ ramBytes, arenaBytes: engine.arenaBytes(cpus) });
    this.entropy = seed === undefined ? hostEntropy : new SeededEntropy(seed);
    // The clock is asked for the time while the processors are made.
    const processors: { made?: EngineInstance } = {};
    const executed = (): number =>
      processors.made?.vcpus.reduce((sum, vcpu) => sum + vcpu.instructions, 0) ?? 0;
    this.time = new MachineTime(seed !== undefined, executed, saved);
    const { memory, ports, mmio, entropy } = this;
    const { clock } = this.time;
    this.engine = engine.create({ memory, ports, mmio, clock, entropy, cpus });
    processors.made = this.engine;
    this.pc = createPc({
      ports,
      mmio,
      clock,
      ramBytes,
      interrupts: {
        deliver: (message) => {
          const taken = this.engine.deliver(message);
          host.wake();
          return taken;
        },
      },
      onInterruptRequest: (asserted) => {
        this.#intr = asserted;
        this.engine.setInterruptRequest(asserted);
        host.wake();
      },
      serial: [{ output: host.serialOutput, onInputRoom: host.serialRoom }],
      onReset: host.reset,
      onPowerOff: host.powerOff,
      onPanic: host.panic,
      ...(host.exit === undefined ? {} : { onExit: host.exit }),
    });
    this.engine.connectPic({
      pending: () => this.#intr,
      acknowledge: () => this.pc.pic.acknowledge(),
    });
    this.engine.onEndOfInterrupt((vector) => this.pc.ioApic.endOfInterrupt(vector));
  }

  /** Instructions that all processors have executed. */
  get instructions(): number {
    return this.engine.vcpus.reduce((sum, vcpu) => sum + vcpu.instructions, 0);
  }

  /** Makes the devices and plugs them in. @throws what a factory throws; the devices made so far stay. */
  async plug(factories: readonly DeviceFactory[]): Promise<void> {
    const { memory, entropy } = this;
    const { clock } = this.time;
    for (const make of factories) {
      const device = await make({ memory, clock, entropy });
      const onFault = (error: Error): void => this.#host.deviceFault(device.name, error);
      const transport = new PciTransport({ memory, device, onFault });
      this.devices.push(transport);
      this.pc.pci.plug(transport.description);
    }
  }

  /**
   * Loads the kernel and puts the boot processor at its entry.
   * @throws the loader's coded errors; memory is unchanged then.
   */
  load(kernel: MachineKernel): BootPlan {
    const { commandLine, initrd, modules, flat } = kernel;
    const ram = this.memory.regions.map(({ guestStart, length }) => ({
      address: guestStart,
      length,
    }));
    const apicIds = Array.from({ length: this.#shape.cpus }, (_, id) => id);
    const plan = loadKernel(this.memory, {
      kernel: kernel.kernel,
      ...(initrd && { initrd }),
      ...(modules && { modules }),
      ...(commandLine !== undefined && { commandLine }),
      ...(flat && { flat }),
      acpi: buildAcpiTables({ platform: pcPlatform, apicIds }),
      smbios: buildSmbiosTables({ memory: ram, processors: this.#shape.cpus }),
      reserved: [{ address: ECAM.address, length: ECAM.length }],
    });
    this.engine.vcpus[0]?.boot(plan.cpu);
    return plan;
  }

  /** The reset line: processors, chips and devices as at power-on; memory and time stay. */
  reset(): void {
    for (const vcpu of this.engine.vcpus) vcpu.reset();
    this.pc.reset();
  }

  /** Resolves once no host I/O for the guest is running; undefined when none is. */
  settled(): Promise<unknown> | undefined {
    const busy = this.devices.filter(({ control }) => control.device.busy === true);
    if (busy.length === 0) return undefined;
    return Promise.all(busy.map(async ({ control }) => control.device.settled?.()));
  }

  /** Holds the devices; resolves once no host I/O for the guest is running. */
  async quiesce(): Promise<void> {
    await Promise.all(this.devices.map(({ control }) => control.pause()));
  }

  /** Lets the devices go on. */
  release(): void {
    for (const { control } of this.devices) control.resume();
  }

  save(): BoardState {
    return {
      time: this.time.save(),
      entropy: this.entropy instanceof SeededEntropy ? this.entropy.save() : undefined,
      devices: this.devices.map((device) => device.save()),
      pc: this.pc.save(),
      processors: this.engine.save(),
    };
  }

  /** After the memory: devices first, then the chips they drive, then the processors. */
  restore(state: BoardState): void {
    if (state.devices.length !== this.devices.length) {
      const reason = `it has ${state.devices.length} devices, this machine ${this.devices.length}`;
      throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason });
    }
    if (state.entropy && this.entropy instanceof SeededEntropy) this.entropy.restore(state.entropy);
    this.devices.forEach((device, i) => device.restore(state.devices[i] as PciTransportState));
    this.pc.restore(state.pc);
    this.engine.restore(state.processors);
  }

  /** Gives the host's resources back. @returns the devices that could not, and why. */
  async close(): Promise<readonly (readonly [device: string, error: Error])[]> {
    const closing = this.devices.map(({ control }) =>
      control.close().then(
        () => [],
        (error: Error) => [[control.device.name, error] as const],
      ),
    );
    return (await Promise.all(closing)).flat();
  }
}
