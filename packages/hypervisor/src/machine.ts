import type { RegionFlags, TranslatorStatistics } from "@queztl/cpu";
import type { BootPlan } from "@queztl/boot";
import type { PanicEvent, Uart16550 } from "@queztl/chipset";
import type { GuestMemory } from "@queztl/memory";
import { Board } from "./board.ts";
import { emulatorEngine } from "./emulator-engine.ts";
import { hypervisorError } from "./errors.ts";
import type { MachineEnd, MachineState } from "./machine-end.ts";
import { checkShape } from "./machine-options.ts";
import type {
  MachineKernel,
  MachineOptions,
  MachineShape,
  MachineSurroundings,
} from "./machine-options.ts";
import { shapeOf } from "./machine-snapshot.ts";
import type { MachineSnapshot } from "./machine-snapshot.ts";
import { DutyCycle } from "./duty-cycle.ts";
import { RunLoop } from "./run-loop.ts";
import type { ExitCounts } from "./run-loop.ts";
import { SerialLine } from "./serial-line.ts";
import { WakeUp, turnOfTheEventLoop } from "./wake-up.ts";

/** A jump of guest time from which on guests are told that they were stopped, in nanoseconds. */
const NOTICEABLE_NS = 1e9;

/** What a machine did so far. */
export interface MachineStatistics {
  readonly instructions: number;
  readonly instructionsByCpu: readonly number[];
  readonly exits: ExitCounts;
  /** Host time in which processors had turns, in seconds: devices and translation in it are counted. */
  readonly ranSeconds: number;
  /** Guest time, in seconds. */
  readonly guestSeconds: number;
  /** Host time from the first run to the first byte on the serial port, in seconds. */
  readonly firstSerialSeconds: number | undefined;
  readonly resets: number;
  /** The translation of hot code, where there is such a thing. */
  readonly translator: TranslatorStatistics | undefined;
}

/**
 * A virtual PC that boots a kernel: memory, processors, chips and devices, and the loop that runs them. It
 * lives in the host's event loop: while the guest runs, it gives way every few milliseconds; an idle guest uses
 * no host CPU.
 *
 * created → running ⇄ paused → stopped or crashed.
 */
export class Machine implements AsyncDisposable {
  /** The first serial port. */
  readonly serial: SerialLine;
  readonly shape: MachineShape;
  readonly #surroundings: MachineSurroundings;
  readonly #board: Board;
  readonly #loop: RunLoop;
  readonly #wakeUp = new WakeUp();
  readonly #duty: DutyCycle | undefined;
  /** Resolves when the machine has ended; never rejects. */
  readonly ended: Promise<MachineEnd>;
  #tellEnd: (end: MachineEnd) => void = () => undefined;
  #state: MachineState = "created";
  #end: MachineEnd | undefined;
  #running: Promise<void> | undefined;
  #pauseRequested = false;
  #resetRequested = false;
  #resets = 0;
  #plan: BootPlan | undefined;
  #startedMs: number | undefined;
  #firstSerialSeconds: number | undefined;
  #closed: Promise<void> | undefined;

  private constructor(
    shape: MachineShape,
    surroundings: MachineSurroundings,
    saved?: MachineSnapshot,
  ) {
    this.shape = shape;
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    this.#surroundings = surroundings;
    const { engine = emulatorEngine, onSerial, events, debugExit, cpuShare } = surroundings;
    if (cpuShare !== undefined) this.#duty = new DutyCycle(cpuShare);
    const host = {
      serialOutput: (bytes: Uint8Array) => {
        this.#firstSerialSeconds ??= (performance.now() - (this.#startedMs ?? 0)) / 1000;
        return onSerial?.(bytes);
      },
      serialRoom: () => this.serial.pump(),
      wake: () => this.#wakeUp.wake(),
      reset: () => {
        if (surroundings.onGuestReset === "end") this.#finish({ reason: "reset" });
        else this.reset();
      },
      powerOff: () => this.#finish({ reason: "power-off" }),
      exit: debugExit
        ? (status: number) => this.#finish({ reason: "debug-exit", status })
        : undefined,
      panic: (event: PanicEvent) => events?.onPanic?.(event),
      deviceFault: (device: string, error: Error) => events?.onDeviceFault?.(device, error),
    };
    this.#board = new Board(shape, engine, host, saved?.board.time);
    this.#loop = new RunLoop(this.#board);
    this.serial = new SerialLine(() => this.#board.pc.uarts[0] as Uart16550, host.wake);
  }

  /**
   * Makes a machine with its kernel loaded; nothing runs yet.
   * @throws QZ_HYPERVISOR_OPTIONS; QZ_BOOT_… for files that are no kernel or do not fit; QZ_MEMORY_UNAVAILABLE; and what a
   * device's factory throws.
   */
  static async create(options: MachineOptions): Promise<Machine> {
    const machine = new Machine(checkShape(options), options);
    return machine.#furnish(() => machine.#load());
  }

  /**
   * Makes a machine that goes on from a snapshot, paused. Its clock is then the host's again: guest time jumps ahead by
   * the time since the snapshot, except in a seeded run.
   * @param memory fills the guest's memory with what it held, for instance with `restoreMemory` of @queztl/memory.
   * @throws QZ_HYPERVISOR_SNAPSHOT for a snapshot of another machine, and the coded errors of its parts; what `memory`
   * and a device's factory throw.
   */
  static async restore(
    surroundings: MachineSurroundings,
    snapshot: MachineSnapshot,
    memory: (memory: GuestMemory) => Promise<unknown>,
  ): Promise<Machine> {
    const shape = shapeOf(snapshot);
    if (snapshot.shape.debugExit !== (surroundings.debugExit === true)) {
      const reason = "one of the two has no debug-exit port";
      throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason });
    }
    const machine = new Machine(shape, surroundings, snapshot);
    return machine.#furnish(async () => {
      await memory(machine.memory);
      machine.#board.restore(snapshot.board);
      machine.#setState("paused");
    });
  }

  /** Plugs the devices in, then `finish`; gives everything back when one of them fails. */
  async #furnish(finish: () => void | Promise<void>): Promise<this> {
    try {
      await this.#board.plug(this.#surroundings.devices ?? []);
      await finish();
      return this;
    } catch (error) {
      await this.#board.close();
      throw error;
    }
  }

  get state(): MachineState {
    return this.#state;
  }

  /** How it ended, once it has. */
  get end(): MachineEnd | undefined {
    return this.#end;
  }

  /** Guest memory; change it only while the machine does not run. */
  get memory(): GuestMemory {
    return this.#board.memory;
  }

  /** How the kernel was loaded; undefined in a machine that was restored and not reset since. */
  get plan(): BootPlan | undefined {
    return this.#plan;
  }

  /** Which processors run translated code now, for samples from another thread; undefined where nothing is translated. */
  get regionFlags(): RegionFlags | undefined {
    return this.#board.engine.regionFlags;
  }

  get statistics(): MachineStatistics {
    const { engine, instructions, time } = this.#board;
    return {
      instructions,
      instructionsByCpu: engine.vcpus.map((vcpu) => vcpu.instructions),
      exits: this.#loop.exits,
      ranSeconds: this.#loop.ranSeconds,
      guestSeconds: time.clock.nowNs() / 1e9,
      firstSerialSeconds: this.#firstSerialSeconds,
      resets: this.#resets,
      translator: engine.translator,
    };
  }

  /**
   * Starts the machine, or has it go on after a pause.
   * @throws QZ_HYPERVISOR_STATE when it is running or has ended.
   */
  start(): void {
    if (this.#state !== "created" && this.#state !== "paused")
      throw this.#wrongState("start", "created or paused");
    this.#startedMs ??= performance.now();
    this.#pauseRequested = false;
    this.#setState("running");
    this.#running = this.#run();
  }

  /** Starts it and resolves with how it ended. @throws QZ_HYPERVISOR_STATE as `start` */
  run(): Promise<MachineEnd> {
    this.start();
    return this.ended;
  }

  /**
   * Has the machine stand still between two instructions, with no host I/O of its devices running; resolves when it
   * does, or has ended instead.
   * @throws QZ_HYPERVISOR_STATE when it was never started.
   */
  async pause(): Promise<void> {
    if (this.#state === "created") throw this.#wrongState("pause", "running");
    this.#pauseRequested = true;
    this.#wakeUp.wake();
    await this.#running;
  }

  /** Pulls the plug; resolves when the machine has ended and its devices are closed. */
  async stop(): Promise<void> {
    this.#finish({ reason: "stopped" });
    this.#wakeUp.wake();
    await this.#running;
    await this.#close();
  }

  /** Pulls the plug, as `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Presses the reset button: the kernel is loaded anew and started. Nothing happens once it has ended. */
  reset(): void {
    this.#resetRequested = true;
    this.#loop.interrupt();
    this.#wakeUp.wake();
  }

  /** Presses the ACPI power button: a guest that listens shuts down. */
  pressPowerButton(): void {
    this.#board.pc.pm.pressPowerButton();
    this.#wakeUp.wake();
  }

  /**
   * Everything but the memory, which the caller saves too (`saveMemory` of @queztl/memory) before the machine
   * goes on.
   * @throws QZ_HYPERVISOR_STATE unless it is paused.
   */
  save(): MachineSnapshot {
    if (this.#state !== "paused") throw this.#wrongState("save", "paused");
    const { memoryMib, cpus, seed } = this.shape;
    const debugExit = this.#surroundings.debugExit === true;
    return { version: 1, shape: { memoryMib, cpus, seed, debugExit }, board: this.#board.save() };
  }

  async #run(): Promise<void> {
    const board = this.#board;
    try {
      const jumpedNs = board.time.start();
      if (jumpedNs > NOTICEABLE_NS) for (const vcpu of board.engine.vcpus) vcpu.wasStopped();
      board.release();
      this.serial.pump();
      while (this.#end === undefined && !this.#pauseRequested) {
        const reading = this.#resetRequested ? this.#restart() : undefined;
        if (reading) {
          await reading;
          // Meanwhile it may have been paused or stopped.
          continue;
        }
        const restMs = this.#duty?.restMs() ?? 0;
        if (restMs > 0) {
          await this.#wakeUp.sleep(restMs);
          continue;
        }
        const began = performance.now();
        const idle = this.#loop.block(() => this.#end !== undefined || this.#resetRequested);
        this.#duty?.ran(performance.now() - began);
        if (idle === "shutdown") this.#finish({ reason: "triple-fault" });
        else if (idle === 0) await turnOfTheEventLoop();
        else await this.#idle(idle);
      }
      board.time.stop();
      if (this.#end === undefined) await board.quiesce();
    } catch (cause) {
      this.#fail(cause);
    }
    // The host may have pulled the plug while the devices came to rest.
    if (this.#end === undefined) this.#setState("paused");
    else await this.#close();
  }

  /** Waits until something is to do. In a seeded run that much guest time passes, however long it really took. */
  async #idle(ns: number): Promise<void> {
    const woken = await this.#wakeUp.sleep(ns / 1e6);
    const { time } = this.#board;
    if (time.seeded && !woken && ns !== Infinity) time.skip(ns);
  }

  /** @returns what to wait for where the kernel has to be read. */
  #restart(): Promise<void> | void {
    this.#resetRequested = false;
    this.#resets++;
    this.#board.reset();
    // What the host still reads into the guest's memory must not land in the new kernel.
    const settled = this.#board.settled();
    const reading = settled ? settled.then(() => this.#load()) : this.#load();
    this.#surroundings.events?.onReset?.();
    return reading;
  }

  #load(): Promise<void> | void {
    const { kernel, ...rest } = this.#surroundings;
    const load = (files: MachineKernel): void => void (this.#plan = this.#board.load(files));
    return typeof kernel === "function" ? kernel().then(load) : load({ kernel, ...rest });
  }

  #finish(end: MachineEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#loop.interrupt();
    if (this.#state === "running") return;
    // Nothing runs that would see it.
    this.#running = this.#close();
  }

  #fail(cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = hypervisorError("QZ_HYPERVISOR_CRASHED", { reason }, { cause });
    this.#end = undefined;
    this.#finish({ reason: "failure", error });
  }

  /** Gives everything back, once, and tells that the machine has ended. */
  #close(): Promise<void> {
    this.#closed ??= (async () => {
      for (const [device, error] of await this.#board.close())
        this.#surroundings.events?.onDeviceFault?.(device, error);
      this.serial.close();
      const end: MachineEnd = this.#end ?? { reason: "stopped" };
      const crashed = end.reason === "triple-fault" || end.reason === "failure";
      this.#setState(crashed ? "crashed" : "stopped");
      this.#tellEnd(end);
      this.#surroundings.events?.onEnd?.(end);
    })();
    return this.#closed;
  }

  #setState(state: MachineState): void {
    this.#state = state;
    this.#surroundings.events?.onState?.(state);
  }

  #wrongState(operation: string, wanted: string): Error {
    return hypervisorError("QZ_HYPERVISOR_STATE", { state: this.#state, operation, wanted });
  }
}
