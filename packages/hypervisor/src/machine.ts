import { buildAcpiTables, loadKernel } from "@queztl/boot";
import type { BootPlan, FlatImage } from "@queztl/boot";
import { createPc, pcPlatform } from "@queztl/chipset";
import type { Pc } from "@queztl/chipset";
import {
  GuestMemory,
  SeededEntropy,
  createMmioBus,
  createPortBus,
  hostEntropy,
} from "@queztl/memory";
import type { Bus, Entropy } from "@queztl/memory";
import { emulatorEngine } from "./emulator-engine.ts";
import type { Engine, EngineInstance } from "./engine.ts";
import { hypervisorError } from "./errors.ts";
import { MachineClock } from "./machine-clock.ts";

const MIB = 1024 * 1024;
/** Instructions a processor runs before another gets its turn. */
const TURN = 50_000;
/** Guest time that one instruction takes in a seeded run, in nanoseconds. */
const SEEDED_NS_PER_INSTRUCTION = 1;
/** How long the machine keeps the host's event loop waiting, in milliseconds. */
const LONGEST_BLOCK_MS = 8;

/** What is booted. */
export interface MachineKernel {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine?: string;
  readonly flat?: FlatImage;
}

/** How a machine is made. */
export interface MachineOptions extends MachineKernel {
  /** Guest RAM in MiB; default 512. */
  readonly memoryMib?: number;
  /** Processors; default 1. */
  readonly cpus?: number;
  readonly engine?: Engine;
  /** A seed makes the run repeat exactly: time passes by executed instructions, random numbers follow the seed. */
  readonly seed?: number;
  /** Bytes the guest writes to its first serial port. */
  readonly onSerial?: (bytes: Uint8Array) => void;
  /** Adds a debug-exit port at 0xf4. */
  readonly debugExit?: boolean;
}

/** How a machine came to its end. */
export type MachineEnd =
  | { readonly reason: "power-off" }
  | { readonly reason: "reset" }
  | { readonly reason: "triple-fault" }
  | { readonly reason: "debug-exit"; readonly status: number }
  | { readonly reason: "stopped" };

/** Where a machine is in its life. */
export type MachineState = "created" | "running" | "paused" | "ended";

/** A virtual PC: memory, processors and board, and the loop that runs them. */
export class Machine {
  readonly memory: GuestMemory;
  readonly ports: Bus;
  readonly mmio: Bus;
  readonly clock: MachineClock;
  readonly pc: Pc;
  readonly plan: BootPlan;
  readonly #engine: EngineInstance;
  readonly #seeded: boolean;
  #state: MachineState = "created";
  #end: MachineEnd | undefined;
  #finished: ((end: MachineEnd) => void) | undefined;
  #pauseRequested: (() => void) | undefined;
  #wake: (() => void) | undefined;
  /** Host time at which guest time would have been 0, while running in real time. */
  #originMs = 0;
  /** Guest time while it stands still. */
  #stoppedNs = 0;
  /** Guest time skipped while all processors were idle in a seeded run. */
  #idleNs = 0;
  readonly #started = performance.now();
  /** Seconds from creation to the first serial byte. */
  firstSerialSeconds: number | undefined;

  /**
   * Builds a machine and loads its kernel; nothing runs yet.
   * @throws QZ_HYPERVISOR_OPTIONS, and the loader's and memory's errors for files and sizes that do not do.
   */
  constructor(options: MachineOptions) {
    const { memoryMib = 512, cpus = 1, engine = emulatorEngine, seed } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) {
      throw hypervisorError("QZ_HYPERVISOR_OPTIONS", {
        option: "cpus",
        value: cpus,
        expected: "a whole number from 1 to 64",
      });
    }
    this.#seeded = seed !== undefined;
    const ramBytes = memoryMib * MIB;
    this.memory = new GuestMemory({ ramBytes, arenaBytes: engine.arenaBytes(cpus) });
    this.ports = createPortBus();
    this.mmio = createMmioBus();
    const epochMs = seed === undefined ? Date.now() : 1_700_000_000_000;
    this.clock = new MachineClock(() => this.#guestNs(), epochMs);
    const entropy: Entropy = seed === undefined ? hostEntropy : new SeededEntropy(seed);
    this.plan = loadKernel(this.memory, {
      kernel: options.kernel,
      ...(options.initrd === undefined ? {} : { initrd: options.initrd }),
      ...(options.commandLine === undefined ? {} : { commandLine: options.commandLine }),
      ...(options.flat === undefined ? {} : { flat: options.flat }),
      acpi: buildAcpiTables({
        platform: pcPlatform,
        apicIds: Array.from({ length: cpus }, (_, id) => id),
        pmTimerBits: 32,
      }),
      reserved: [{ address: pcPlatform.pci.ecam.address, length: pcPlatform.pci.ecam.length }],
    });
    this.#engine = engine.create({
      memory: this.memory,
      ports: this.ports,
      mmio: this.mmio,
      clock: this.clock,
      entropy,
      cpus,
    });
    const { onSerial } = options;
    this.pc = createPc({
      ports: this.ports,
      mmio: this.mmio,
      clock: this.clock,
      ramBytes,
      interrupts: { deliver: (message) => this.#engine.deliver(message) },
      onInterruptRequest: (asserted) => {
        this.#picAsserted = asserted;
        this.#engine?.setInterruptRequest(asserted);
        this.wake();
      },
      serial: [
        {
          output: (bytes) => {
            this.firstSerialSeconds ??= (performance.now() - this.#started) / 1000;
            onSerial?.(bytes);
          },
        },
      ],
      onReset: () => this.#finish({ reason: "reset" }),
      onPowerOff: () => this.#finish({ reason: "power-off" }),
      ...(options.debugExit === true
        ? { onExit: (status: number) => this.#finish({ reason: "debug-exit", status }) }
        : {}),
    });
    this.#engine.connectPic({
      pending: () => this.#picAsserted,
      acknowledge: () => this.pc.pic.acknowledge(),
    });
    this.#engine.onEndOfInterrupt((vector) => this.pc.ioApic.endOfInterrupt(vector));
    this.#engine.vcpus[0]?.boot(this.plan.cpu);
  }

  #picAsserted = false;

  get state(): MachineState {
    return this.#state;
  }

  /** How it ended, once it has. */
  get end(): MachineEnd | undefined {
    return this.#end;
  }

  /** Instructions that all processors have executed. */
  get instructions(): number {
    return this.#engine.vcpus.reduce((sum, vcpu) => sum + vcpu.instructions, 0);
  }

  /** Gives bytes to the guest's first serial port. @returns how many it took. */
  serialInput(bytes: Uint8Array): number {
    const taken = this.pc.uarts[0]?.input(bytes) ?? 0;
    this.wake();
    return taken;
  }

  /** An idle machine looks at its devices again. */
  wake(): void {
    this.#wake?.();
  }

  /** Runs until the guest ends, `stop` or `pause` is called. Resolves with how it ended, or undefined when paused. */
  async run(): Promise<MachineEnd | undefined> {
    if (this.#state === "running") {
      throw hypervisorError("QZ_HYPERVISOR_STATE", {
        state: this.#state,
        operation: "run",
        wanted: "created or paused",
      });
    }
    if (this.#end !== undefined) return this.#end;
    this.#originMs = performance.now() - this.#stoppedNs / 1e6;
    this.#state = "running";
    while (this.#end === undefined && this.#pauseRequested === undefined) {
      const idleMs = this.#runBlock();
      if (this.#end !== undefined || this.#pauseRequested !== undefined) break;
      if (idleMs === 0) await turnOfTheEventLoop();
      else await this.#sleep(idleMs);
    }
    this.#stoppedNs = this.#guestNs();
    this.#state = this.#end === undefined ? "paused" : "ended";
    this.#pauseRequested?.();
    this.#pauseRequested = undefined;
    return this.#end;
  }

  /** Stops the machine at once, as pulling the plug does. */
  stop(): void {
    this.#finish({ reason: "stopped" });
    this.wake();
  }

  /** Halts the machine between two instructions; `run` goes on from there. */
  async pause(): Promise<void> {
    if (this.#state !== "running") return;
    await new Promise<void>((resolve) => {
      this.#pauseRequested = resolve;
      for (const vcpu of this.#engine.vcpus) vcpu.requestStop();
      this.wake();
    });
  }

  /** Presses the ACPI power button: a guest that listens shuts down. */
  pressPowerButton(): void {
    this.pc.pm.pressPowerButton();
    this.wake();
  }

  /** Guest time now, in nanoseconds. */
  #guestNs(): number {
    if (this.#seeded) return this.#idleNs + this.#executing() * SEEDED_NS_PER_INSTRUCTION;
    return this.#state === "running" ? (performance.now() - this.#originMs) * 1e6 : this.#stoppedNs;
  }

  #executing(): number {
    return this.#engine === undefined ? 0 : this.instructions;
  }

  /** Runs for a few milliseconds. @returns how long nothing will be to do, in milliseconds; 0 to go on at once. */
  #runBlock(): number {
    const { clock } = this;
    const until = performance.now() + LONGEST_BLOCK_MS;
    do {
      clock.advance();
      let ran = false;
      for (const vcpu of this.#engine.vcpus) {
        if (!vcpu.runnable) continue;
        ran = true;
        const exit = vcpu.run(this.#turn());
        if (exit === "shutdown") this.#finish({ reason: "triple-fault" });
        if (this.#end !== undefined) return 0;
        clock.advance();
      }
      if (!ran) {
        const idleNs = clock.nextDeadlineNs() - clock.nowNs();
        if (idleNs <= 0) continue;
        if (!this.#seeded || idleNs === Infinity) return Math.max(0.01, idleNs / 1e6);
        this.#idleNs += idleNs;
      }
    } while (performance.now() < until && this.#pauseRequested === undefined);
    return 0;
  }

  /** Instructions until a processor's turn ends; in a seeded run not past the next timer. */
  #turn(): number {
    if (!this.#seeded) return TURN;
    const untilTimer =
      (this.clock.nextDeadlineNs() - this.clock.nowNs()) / SEEDED_NS_PER_INSTRUCTION;
    return Math.max(1, Math.min(TURN, Math.ceil(untilTimer)));
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === Infinity ? undefined : setTimeout(done, Math.min(ms, 1000));
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      this.#wake = () => {
        this.#wake = undefined;
        done();
      };
    });
  }

  #finish(end: MachineEnd): void {
    this.#end ??= end;
    for (const vcpu of this.#engine?.vcpus ?? []) vcpu.requestStop();
    this.#finished?.(this.#end);
  }
}

/** Lets the host's other work run. */
function turnOfTheEventLoop(): Promise<void> {
  const immediate = (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate;
  if (immediate !== undefined) return new Promise((resolve) => immediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
