import type { ConsoleDevice, ConsolePort, ConsolePortOptions } from "@queztl/virtio";

/** The name of the console port on which the guest's agent listens. */
export const AGENT_PORT = "org.queztl.agent.0";

/** A connection to the guest's agent: bytes in both directions, in order; nothing in it is trusted. */
export interface ByteChannel {
  /** Resolves when there is room for more. A rejection ends the connection. */
  write(bytes: Uint8Array): Promise<void> | void;
  /** Called once, with who takes what comes. */
  onData(listener: (bytes: Uint8Array) => void): void;
  /** Called once, with who is told when the other side is gone. */
  onClose?(listener: (cause?: unknown) => void): void;
  close(): Promise<void> | void;
}

/**
 * The agent's port of a virtio console: give `port` to the `ConsoleDevice` as one of its ports, then `connect`
 * the device.
 */
export class ConsoleChannel implements ByteChannel {
  readonly port: ConsolePortOptions;
  #device: ConsolePort | undefined;
  #listener: ((bytes: Uint8Array) => void) | undefined;
  #closed = false;
  #drained: (() => void)[] = [];

  constructor(name: string = AGENT_PORT) {
    this.port = {
      name,
      onOutput: (bytes) => {
        this.#listener?.(bytes);
      },
      onDrain: () => this.#release(),
      onGuestOpen: () => this.#release(),
    };
  }

  /** @throws QZ_VIRTIO_OPTIONS when the device has no such port. */
  connect(device: ConsoleDevice): this {
    this.#device = device.port(this.port.name);
    this.#release();
    return this;
  }

  async write(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (!this.#closed) {
      const taken = this.#device?.write(rest) ?? 0;
      rest = rest.subarray(taken);
      if (rest.length === 0) return;
      await new Promise<void>((resolve) => this.#drained.push(resolve));
    }
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#closed = true;
    this.#listener = undefined;
    this.#release();
  }

  #release(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
