import { isQueztlError } from "@queztl/errors";
import type { GuestMemory } from "@queztl/memory";
import { Feature } from "../device.ts";
import type { VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import { SplitQueue } from "../ring/split-queue.ts";
import type { QueueProgress } from "../ring/split-queue.ts";
import { checkState, isWhole } from "../state.ts";
import { QUEUE_ADDRESSES } from "./registers.ts";
import type { QueueRegisters } from "./registers.ts";
import { Session } from "./session.ts";

/** Bits of the device status field (virtio 1.2, 2.1). */
export const Status = {
  Acknowledge: 1,
  Driver: 2,
  DriverOk: 4,
  FeaturesOk: 8,
  NeedsReset: 64,
  Failed: 128,
} as const;

/** What a transport is made with. */
export interface TransportOptions {
  readonly memory: GuestMemory;
  readonly device: VirtioDevice;
  /** Told each coded error that ended in DEVICE_NEEDS_RESET. */
  readonly onFault?: (error: Error) => void;
  /**
   * Whether the driver waits for a reset to end, so that host I/O may go straight to its memory. Default: as Linux's do,
   * over PCI and not over MMIO.
   */
  readonly awaitsReset?: boolean;
}

/** The saved registers and queues of a device, with the device's own state. */
export interface ControlState {
  readonly version: 1;
  readonly device: string;
  readonly status: number;
  readonly driverFeatures: bigint;
  readonly configGeneration: number;
  readonly queues: readonly (QueueRegisters & { readonly progress?: QueueProgress })[];
  readonly own: { readonly version: number };
}

const HALF = 2 ** 32;

/**
 * What both transports share: the device status field, feature negotiation, the queues' registers, and the
 * life of a driver session. The transports only map their registers onto it (virtio 1.2, 2.1–2.2 and 3.1).
 */
export class DeviceControl {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  readonly offered: bigint;
  readonly queues: QueueRegisters[] = [];
  driverFeatures = 0n;

  readonly #onFault: (error: Error) => void;
  readonly #interrupt: { queue(index: number): void; config(): void };
  readonly #direct: boolean;
  #status = 0;
  /** What the driver reads as the status while I/O of before a reset still goes to its memory. */
  #settling = 0;
  #session: Session | undefined;
  #paused = false;

  constructor(
    options: TransportOptions,
    interrupt: { queue(index: number): void; config(): void },
  ) {
    this.#direct = options.awaitsReset === true;
    this.device = options.device;
    this.memory = options.memory;
    this.#onFault = options.onFault ?? (() => {});
    this.#interrupt = interrupt;
    this.offered =
      options.device.features | Feature.Version1 | Feature.RingIndirectDesc | Feature.RingEventIdx;
    this.#resetQueues();
    this.device.config.onChange = () => {
      if (this.#status & Status.DriverOk) interrupt.config();
    };
  }

  get status(): number {
    return this.#status | this.#settling;
  }

  /** The low byte of the generation the driver compares to read wide configuration fields whole. */
  get configGeneration(): number {
    return this.device.config.generation & 0xff;
  }

  /** 32 bits of the offered features. */
  offeredFeatures(select: number): number {
    return select > 1 ? 0 : Number(BigInt.asUintN(32, this.offered >> BigInt(32 * select)));
  }

  /** The driver's choice of 32 features. */
  selectFeatures(select: number, value: number): void {
    if (this.#status & Status.FeaturesOk) {
      this.fail(badRegister("driver_feature", "the features are agreed already"));
      return;
    }
    if (select > 1) return;
    const shift = BigInt(32 * select);
    const others = this.driverFeatures & ~(0xffff_ffffn << shift);
    this.driverFeatures = others | (BigInt(value >>> 0) << shift);
  }

  /** The driver writes the status: 0 resets, other bits are only ever added. */
  writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    const added = value & ~this.#status & ~Status.NeedsReset;
    if (added & Status.FeaturesOk && this.#acceptsFeatures()) this.#status |= Status.FeaturesOk;
    this.#status |= added & (Status.Acknowledge | Status.Driver | Status.Failed);
    if (added & Status.DriverOk) {
      if (this.#status & Status.NeedsReset) return;
      if ((this.#status & Status.FeaturesOk) === 0) {
        this.fail(badRegister("DRIVER_OK", "no features are agreed"));
        return;
      }
      this.#status |= Status.DriverOk;
      this.#start();
      // Linux's balloon fills a queue, and notifies, before it is done.
      this.queues.forEach((_, index) => this.notify(index));
    }
  }

  /**
   * The registers of a queue if the driver may write them now: it may between FEATURES_OK and DRIVER_OK, and
   * not once the queue is enabled. Otherwise the device needs a reset.
   */
  writableQueue(select: number, register: string): QueueRegisters | undefined {
    const queue = this.queues[select];
    if (queue === undefined) return undefined;
    const phase = this.#status & (Status.FeaturesOk | Status.DriverOk | Status.NeedsReset);
    if (phase === Status.FeaturesOk && !queue.enabled) return queue;
    const reason = queue.enabled
      ? "the queue is enabled"
      : "queues are set up between FEATURES_OK and DRIVER_OK";
    this.fail(badRegister(register, reason));
    return undefined;
  }

  /** The driver enables a queue: its rings are checked whole. */
  enableQueue(select: number): void {
    const registers = this.writableQueue(select, "queue_enable");
    if (registers === undefined) return;
    try {
      this.#makeQueue(select, registers);
      registers.enabled = true;
    } catch (error) {
      this.fail(error);
    }
  }

  /** The driver says that a queue holds something new. */
  notify(index: number): void {
    const session = this.#session;
    if (session === undefined || session.queue(index) === undefined) return;
    session.run(() => this.device.notify(index));
  }

  /** The driver writes its device's configuration. */
  writeConfig(offset: number, size: number, value: number): void {
    try {
      this.device.config.write(offset, size, value);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Puts the device back to how it was made; host I/O that is still running ends into nowhere. */
  reset(): void {
    this.#end();
    if (this.#direct && this.device.busy === true) this.#settle();
    this.#status = 0;
    this.driverFeatures = 0n;
    this.#resetQueues();
  }

  /** Ends the session, sets DEVICE_NEEDS_RESET and tells driver and owner. */
  fail(cause: unknown): void {
    const error = isQueztlError(cause)
      ? cause
      : virtioError("QZ_VIRTIO_DEVICE", { device: this.device.name }, { cause });
    const running = (this.#status & Status.DriverOk) !== 0;
    this.#status |= Status.NeedsReset;
    this.#end();
    if (running) this.#interrupt.config();
    this.#onFault(error);
  }

  /** Stops taking requests and resolves once those that were taken are done, or wait for the guest. */
  async pause(): Promise<void> {
    this.#paused = true;
    this.#session?.hold(true);
    await this.device.settled?.();
  }

  /** Takes requests again, those of a restored state first. */
  resume(): void {
    this.#paused = false;
    this.#session?.hold(false);
    this.queues.forEach((_, index) => this.notify(index));
  }

  /** Ends the session for good and closes the device (hot unplug, end of the machine). */
  async close(): Promise<void> {
    this.reset();
    await this.device.close?.();
  }

  save(): ControlState {
    return {
      version: 1,
      device: this.device.name,
      status: this.#status,
      driverFeatures: this.driverFeatures,
      configGeneration: this.device.config.generation,
      queues: this.queues.map((registers, index) => {
        const progress = this.#session?.queue(index)?.save();
        return { ...structuredClone(registers), ...(progress && { progress }) };
      }),
      own: this.device.save(),
    };
  }

  /**
   * Goes on from a saved state, paused until `resume`.
   * @throws QZ_VIRTIO_STATE when the state is not of this device, QZ_VIRTIO_RING when it does not fit the memory.
   */
  restore(state: ControlState): void {
    const { name } = this.device;
    const check = checkState(name, state, 1);
    check(state.device === name, `it is of a ${state.device}`);
    check(isWhole(state.status, 0xff), "its status");
    check(isWhole(state.configGeneration, 0xffff_ffff), "its configuration's generation");
    const features: unknown = state.driverFeatures;
    check(typeof features === "bigint" && features >> 64n === 0n, "its features");
    const agreed = (state.status & Status.FeaturesOk) !== 0;
    const offered = (state.driverFeatures & ~this.offered) === 0n;
    check(!agreed || offered, "it uses features this device does not offer");
    const same = Array.isArray(state.queues) && state.queues.length === this.queues.length;
    check(same, "the number of queues differs");
    check(state.queues.every(isQueueRegisters), "its queues' registers");
    check(typeof state.own === "object" && state.own !== null, "it has none of the device");
    this.reset();
    this.#paused = true;
    this.device.config.generation = state.configGeneration;
    this.device.restore(state.own);
    this.driverFeatures = state.driverFeatures;
    state.queues.forEach((saved, index) => {
      const { size, enabled, descriptors, driverRing, deviceRing } = saved;
      this.queues[index] = {
        size,
        enabled,
        descriptors: [...descriptors],
        driverRing: [...driverRing],
        deviceRing: [...deviceRing],
      };
    });
    this.#status = state.status;
    if ((state.status & (Status.DriverOk | Status.NeedsReset)) === Status.DriverOk)
      this.#start(state.queues.map((queue) => queue.progress));
  }

  /** Shows the reset as done when the device is at rest (virtio 1.2, 4.1.4.3.1). */
  #settle(): void {
    this.#settling = Status.Acknowledge;
    void this.device.settled?.().then(() => (this.#settling = 0));
  }

  #acceptsFeatures(): boolean {
    const chosen = this.driverFeatures;
    if ((this.#status & Status.NeedsReset) !== 0 || (chosen & ~this.offered) !== 0n) return false;
    if ((chosen & Feature.Version1) === 0n) return false;
    return this.device.acceptsFeatures?.(chosen) ?? true;
  }

  #start(progress: readonly (QueueProgress | undefined)[] = []): void {
    const queues = this.queues.map((registers, index) => {
      if (!registers.enabled) return undefined;
      const queue = this.#makeQueue(index, registers);
      const saved = progress[index];
      if (saved) queue.restore(saved);
      return queue;
    });
    const fault = (error: unknown): void => this.fail(error);
    const session = new Session(this.driverFeatures, queues, fault, this.#direct);
    this.#session = session;
    session.hold(this.#paused);
    session.run(() => this.device.start(session));
  }

  #makeQueue(index: number, registers: QueueRegisters): SplitQueue {
    const layout = {
      index,
      size: registers.size,
      descriptors: addressOf(registers.descriptors),
      driverRing: addressOf(registers.driverRing),
      deviceRing: addressOf(registers.deviceRing),
    };
    return new SplitQueue(this.memory, layout, {
      indirect: (this.driverFeatures & Feature.RingIndirectDesc) !== 0n,
      eventIdx: (this.driverFeatures & Feature.RingEventIdx) !== 0n,
      maxSize: this.device.queueSizes[index] ?? 0,
      interrupt: () => this.#interrupt.queue(index),
    });
  }

  #end(): void {
    this.#session?.end();
    this.#session = undefined;
    this.device.stop();
  }

  #resetQueues(): void {
    this.queues.splice(0, this.queues.length);
    for (const size of this.device.queueSizes) {
      this.queues.push({
        size,
        enabled: false,
        descriptors: [0, 0],
        driverRing: [0, 0],
        deviceRing: [0, 0],
      });
    }
  }
}

function isQueueRegisters(queue: QueueRegisters): boolean {
  const half = (value: unknown): boolean => isWhole(value, 0xffff_ffff);
  return (
    typeof queue === "object" &&
    queue !== null &&
    isWhole(queue.size, 0xffff) &&
    typeof queue.enabled === "boolean" &&
    QUEUE_ADDRESSES.every((name) => {
      const address: unknown = queue[name];
      return Array.isArray(address) && address.length === 2 && address.every(half);
    })
  );
}

function addressOf([low, high]: readonly [number, number]): number {
  return high * HALF + low;
}

function badRegister(register: string, reason: string): Error {
  return virtioError("QZ_VIRTIO_REGISTER", { register, reason });
}
