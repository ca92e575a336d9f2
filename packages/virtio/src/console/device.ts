import type { Clock, Timer } from "@queztl/memory";
import type { DriverSession, VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import type { DescriptorChain } from "../ring/descriptor-chain.ts";
import { serveQueue } from "../ring/serve-queue.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { RateLimit } from "../token-bucket.ts";
import { CONTROL_BYTES, ConsoleConfig, ConsoleFeature, ControlEvent } from "./config.ts";
import type { TerminalSize } from "./config.ts";
import { ConsolePort } from "./port.ts";
import type { ConsolePortOptions } from "./port.ts";
import { checkConsoleState } from "./state.ts";
import type { ConsoleState } from "./state.ts";

const CONTROL_RECEIVE = 2;
const CONTROL_TRANSMIT = 3;
const OUTPUT_PIECE = 64 * 1024;
/** No driver writes more at once; a chain that repeats the same RAM could claim gigabytes. */
const OUTPUT_CHAIN = 1024 * 1024;
const MAX_PORTS = 31;
/** More control messages than this in one chain's buffer are no control message. */
const MAX_CONTROL_BYTES = 64;

/** How a console is made. */
export interface ConsoleDeviceOptions {
  /** Port 0 first; 1 to 31 of them. */
  readonly ports: readonly ConsolePortOptions[];
  readonly size?: TerminalSize;
  /** Output bytes of all ports a second of guest time; needs `clock`. */
  readonly limit?: RateLimit;
  readonly clock?: Clock;
  /**
   * The order of a RESIZE message's fields: columns first as in the specification (5.3.6.2), the default, or rows
   * first as Linux read them until 2025.
   */
  readonly resizeOrder?: "rows" | "columns";
}

/**
 * The console (virtio 1.2, 5.3) with several ports: terminals and named byte channels, such as the guest
 * agent's. Both directions push back: the guest's output waits for the host's readers, the host's input for
 * the guest's.
 */
export class ConsoleDevice implements VirtioDevice<ConsoleState> {
  readonly type = 3;
  readonly name = "console";
  readonly features =
    ConsoleFeature.Size | ConsoleFeature.MultiPort | ConsoleFeature.EmergencyWrite;
  readonly queueSizes: readonly number[];
  readonly config: ConsoleConfig;
  readonly counters = { outputBytes: 0, inputBytes: 0, controlMessages: 0, throttled: 0 };
  readonly ports: readonly ConsolePort[];

  readonly #clock: Clock | undefined;
  readonly #bucket: TokenBucket | undefined;
  readonly #rowsFirst: boolean;
  #control: Uint8Array[] = [];
  #session: DriverSession | undefined;
  #timer: Timer | undefined;

  /** @throws QZ_VIRTIO_OPTIONS */
  constructor(options: ConsoleDeviceOptions) {
    const count = options.ports.length;
    if (!(count >= 1 && count <= MAX_PORTS)) throw badOption("ports", count, "give 1 to 31");
    this.#rowsFirst = options.resizeOrder === "rows";
    this.ports = options.ports.map(
      (port, index) => new ConsolePort(index, port, (what) => this.#portChanged(index, what)),
    );
    // Port 0's pair, the control pair, then a pair a port.
    this.queueSizes = Array.from({ length: 2 * count + 2 }, () => 128);
    this.config = new ConsoleConfig(count, (byte) => {
      this.counters.outputBytes++;
      this.ports[0]?.output(Uint8Array.of(byte));
    });
    if (options.size) this.config.size = options.size;
    this.#clock = options.clock;
    if (options.limit === undefined) return;
    if (options.clock === undefined)
      throw badOption("limit", options.limit.perSecond, "it needs a clock");
    this.#bucket = new TokenBucket(options.clock, options.limit);
  }

  /** The port of that name. @throws QZ_VIRTIO_OPTIONS when there is none. */
  port(name: string): ConsolePort {
    const port = this.ports.find((p) => p.name === name);
    if (port === undefined) throw badOption("port", name, "there is no port of that name");
    return port;
  }

  /** Tells the guest that the terminal of port 0 has another size. */
  resize(size: TerminalSize): void {
    this.config.size = size;
    this.config.changed();
    if (this.ports[0]?.guestReady) this.#sendSize();
  }

  start(session: DriverSession): void {
    this.#session = session;
  }

  notify(index: number): void {
    const session = this.#session;
    if (session === undefined) return;
    if (index === CONTROL_RECEIVE) this.#deliverControl(session);
    else if (index === CONTROL_TRANSMIT) this.#takeControl(session);
    else if (index % 2 === 0) this.#deliverInput(session, this.#portOf(index));
    else this.#takeOutput(session, this.#portOf(index));
  }

  stop(): void {
    this.#session = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#control = [];
    for (const port of this.ports) {
      port.guestReady = false;
      port.opened(false);
    }
  }

  save(): ConsoleState {
    return {
      version: 1,
      size: this.config.size,
      ports: this.ports.map((port) => ({
        guestReady: port.guestReady,
        guestOpen: port.guestOpen,
        hostOpen: port.hostOpen,
        input: port.saveInput(),
      })),
      control: this.#control.map((message) => message.slice()),
    };
  }

  restore(state: ConsoleState): void {
    checkConsoleState(state, this.ports.length);
    this.config.size = state.size;
    this.#control = state.control.map((message) => message.slice());
    state.ports.forEach((saved, index) => {
      const port = this.ports[index] as ConsolePort;
      port.guestReady = saved.guestReady;
      port.hostOpen = saved.hostOpen;
      port.restoreInput(saved.input);
      port.opened(saved.guestOpen);
    });
  }

  get #multiPort(): boolean {
    return ((this.#session?.features ?? 0n) & ConsoleFeature.MultiPort) !== 0n;
  }

  #portOf(queue: number): ConsolePort | undefined {
    return this.ports[queue < CONTROL_RECEIVE ? 0 : (queue >> 1) - 1];
  }

  #queueOf(port: ConsolePort, direction: 0 | 1): number {
    return (port.index === 0 ? 0 : 2 * (port.index + 1)) + direction;
  }

  #portChanged(index: number, what: "input" | "output" | "open"): void {
    const session = this.#session;
    const port = this.ports[index];
    if (session === undefined || port === undefined) return;
    session.run(() => {
      if (what === "input") this.#deliverInput(session, port);
      else if (what === "output") this.#takeOutput(session, port);
      else if (port.guestReady)
        this.#send(port.index, ControlEvent.PortOpen, port.hostOpen ? 1 : 0);
    });
  }

  #deliverInput(session: DriverSession, port: ConsolePort | undefined): void {
    // Linux throws away what comes to a port that nobody has open.
    if (port === undefined || port.pending === 0 || (this.#multiPort && !port.guestOpen)) return;
    serveQueue(session, this.#queueOf(port, 0), (chain, queue) => {
      if (port.pending === 0) return false;
      let at = 0;
      while (at < chain.writableBytes && port.pending > 0) {
        const part = port.peek(chain.writableBytes - at);
        chain.write(at, part);
        at += part.length;
        port.taken(part.length);
      }
      this.counters.inputBytes += at;
      queue.complete(chain, at);
      return true;
    });
  }

  #takeOutput(session: DriverSession, port: ConsolePort | undefined): void {
    if (port === undefined) return;
    serveQueue(session, this.#queueOf(port, 1), (chain, queue) => {
      if (port.paused || this.#mustWait(session)) return false;
      const length = chain.readableBytes;
      if (length > OUTPUT_CHAIN) throw this.#refused(`it writes ${length} bytes at once`);
      for (let at = 0; at < length; at += OUTPUT_PIECE)
        port.output(chain.readBytes(at, Math.min(OUTPUT_PIECE, length - at)));
      this.counters.outputBytes += length;
      this.#bucket?.take(length);
      queue.complete(chain, 0);
      return true;
    });
  }

  /** Whether the limit holds output back now; comes back when it does not. */
  #mustWait(session: DriverSession): boolean {
    const clock = this.#clock;
    if (this.#bucket === undefined || clock === undefined) return false;
    const readyNs = this.#bucket.readyNs();
    if (readyNs <= clock.nowNs()) return false;
    if (this.#timer === undefined) {
      this.counters.throttled++;
      this.#timer = clock.schedule(readyNs, () => {
        this.#timer = undefined;
        session.run(() => {
          for (const port of this.ports) this.#takeOutput(session, port);
        });
      });
    }
    return true;
  }

  #takeControl(session: DriverSession): void {
    serveQueue(session, CONTROL_TRANSMIT, (chain, queue) => {
      this.#handleControl(session, chain);
      queue.complete(chain, 0);
      return true;
    });
  }

  #handleControl(session: DriverSession, chain: DescriptorChain): void {
    if (chain.readableBytes < CONTROL_BYTES || chain.readableBytes > MAX_CONTROL_BYTES)
      throw this.#refused(`a control message of ${chain.readableBytes} bytes`);
    this.counters.controlMessages++;
    const view = new DataView(chain.readBytes(0, CONTROL_BYTES).buffer);
    const event = view.getUint16(4, true);
    const value = view.getUint16(6, true);
    if (event === ControlEvent.DeviceReady) {
      // Also when the guest says it again: the list begins anew, so that it cannot grow.
      this.#control = [];
      if (value === 1)
        for (const port of this.ports) this.#send(port.index, ControlEvent.PortAdd, 1);
      return;
    }
    const port = this.ports[view.getUint32(0, true)];
    if (port === undefined) return;
    if (event === ControlEvent.PortReady && value === 1 && !port.guestReady) {
      port.guestReady = true;
      if (port.terminal) this.#send(port.index, ControlEvent.ConsolePort, 1);
      this.#send(port.index, ControlEvent.PortName, 1, new TextEncoder().encode(port.name));
      if (port.index === 0 && this.config.size.columns > 0) this.#sendSize();
      if (port.hostOpen) this.#send(port.index, ControlEvent.PortOpen, 1);
    } else if (event === ControlEvent.PortOpen) {
      port.opened(value === 1);
      this.#deliverInput(session, port);
    }
  }

  #sendSize(): void {
    const { columns, rows } = this.config.size;
    const body = new Uint8Array(4);
    const view = new DataView(body.buffer);
    view.setUint16(0, this.#rowsFirst ? rows : columns, true);
    view.setUint16(2, this.#rowsFirst ? columns : rows, true);
    // Only the latest size matters.
    this.#control = this.#control.filter((message) => message[4] !== ControlEvent.Resize);
    this.#send(0, ControlEvent.Resize, 0, body);
  }

  #send(port: number, event: number, value: number, body = new Uint8Array(0)): void {
    const message = new Uint8Array(CONTROL_BYTES + body.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    message.set(body, CONTROL_BYTES);
    // The host's toggling of a port the guest does not follow must not add up either.
    if (event === ControlEvent.PortOpen)
      this.#control = this.#control.filter((m) => !(m[0] === port && m[4] === event));
    this.#control.push(message);
    if (this.#session) this.#deliverControl(this.#session);
  }

  #deliverControl(session: DriverSession): void {
    if (this.#control.length === 0) return;
    serveQueue(session, CONTROL_RECEIVE, (chain, queue) => {
      const message = this.#control.shift();
      if (message === undefined) return false;
      if (chain.writableBytes < message.length)
        throw this.#refused(`its control buffers hold ${chain.writableBytes} bytes`);
      chain.write(0, message);
      queue.complete(chain, message.length);
      return true;
    });
  }

  #refused(reason: string): Error {
    return virtioError("QZ_VIRTIO_REQUEST", { device: this.name, reason });
  }
}

function badOption(option: string, value: string | number, reason: string): Error {
  return virtioError("QZ_VIRTIO_OPTIONS", { option, value, reason });
}
