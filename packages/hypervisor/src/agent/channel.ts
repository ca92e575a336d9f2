import { ConsoleDevice } from "@queztl/virtio";
import type { ConsolePort, ConsolePortOptions } from "@queztl/virtio";

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

/** A channel that outlives the sessions on it, which close what they were given. */
export function keptOpen(channel: ByteChannel): ByteChannel {
  return {
    write: (bytes) => channel.write(bytes),
    onData: (listener) => channel.onData(listener),
    close: () => undefined,
  };
}

/**
 * The agent's port of a machine: `device` is a factory for `MachineOptions.devices`. One channel serves one machine;
 * what is restored from a snapshot gets a new one.
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

  /** Makes a console with a terminal, the guest's hvc0, and the agent's port. */
  readonly device = (): ConsoleDevice => {
    const device = new ConsoleDevice({ ports: [{ name: "console" }, this.port] });
    this.connect(device);
    return device;
  };

  /** Uses a console that was made with `port` among its ports. @throws QZ_VIRTIO_OPTIONS when it was not. */
  connect(device: ConsoleDevice): void {
    this.#device = device.port(this.port.name);
    this.#release();
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
