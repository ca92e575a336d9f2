import { BROADCAST, isGroup, macAt } from "./link.ts";
import type { Frame, Network, NetworkEnd, NicEnd } from "./link.ts";

/** How many addresses a switch remembers. */
const MAX_ADDRESSES = 4096;

/**
 * An Ethernet switch that joins NICs, and other networks through `uplink`. It learns where addresses are; frames
 * for unknown and group addresses go to every other port.
 */
export class Switch implements Network {
  readonly counters = { forwardedFrames: 0, floodedFrames: 0 };
  readonly #ports = new Set<NicEnd>();
  readonly #uplinks = new Set<NetworkEnd>();
  readonly #addresses = new Map<number, NicEnd>();

  /** Plugs a NIC in. */
  attach(nic: NicEnd): NetworkEnd {
    this.#ports.add(nic);
    return {
      transmit: (frame) => this.#forward(nic, frame),
      roomAvailable: () => {
        for (const uplink of this.#uplinks) uplink.roomAvailable();
      },
      reset: () => this.#forget(nic),
      detach: () => {
        this.#ports.delete(nic);
        this.#forget(nic);
      },
    };
  }

  /** Joins another network, such as the user-mode NAT; returns how to leave it. */
  uplink(network: Network): () => void {
    const port: NicEnd = {
      deliver: (frame) => end.transmit(frame),
      hasRoom: () => true,
    };
    const end = network.attach({
      deliver: (frame) => this.#forward(port, frame),
      hasRoom: (mac) => this.#addresses.get(mac)?.hasRoom(mac) ?? true,
    });
    this.#ports.add(port);
    this.#uplinks.add(end);
    return () => {
      this.#ports.delete(port);
      this.#uplinks.delete(end);
      this.#forget(port);
      end.detach();
    };
  }

  #forward(from: NicEnd, frame: Frame): void {
    const source = macAt(frame.bytes, 6);
    const target = macAt(frame.bytes, 0);
    if (!isGroup(source)) this.#learn(source, from);
    const known = target === BROADCAST ? undefined : this.#addresses.get(target);
    if (known !== undefined) {
      this.counters.forwardedFrames++;
      if (known !== from) known.deliver(frame);
      return;
    }
    this.counters.floodedFrames++;
    for (const port of this.#ports) if (port !== from) port.deliver(frame);
  }

  #learn(mac: number, port: NicEnd): void {
    if (this.#addresses.get(mac) === port) return;
    this.#addresses.delete(mac);
    const oldest = this.#addresses.keys().next();
    if (this.#addresses.size >= MAX_ADDRESSES && oldest.value !== undefined)
      this.#addresses.delete(oldest.value);
    this.#addresses.set(mac, port);
  }

  #forget(port: NicEnd): void {
    for (const [mac, at] of this.#addresses) if (at === port) this.#addresses.delete(mac);
  }
}
