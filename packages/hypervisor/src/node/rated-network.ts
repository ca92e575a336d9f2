import type { Clock, Timer } from "@queztl/memory";
import type { Frame, Network, NetworkEnd, NicEnd } from "@queztl/virtio";

/** What may pass at once after a pause, in seconds of the rate. */
const BURST_SECONDS = 0.1;
/** Frames of the guest that wait for their turn; more are dropped, as by a full switch. */
const MAX_WAITING_BYTES = 512 * 1024;

/** Lets a network card send and receive at most so many bytes a second, in each direction. */
export function ratedNetwork(network: Network, bytesPerSecond: number, clock: Clock): Network {
  return {
    attach(nic: NicEnd): NetworkEnd {
      const inward = new Rate(bytesPerSecond, clock);
      const outward = new Rate(bytesPerSecond, clock);
      // The network holds back what the card has no room for; TCP of the network adapts to that.
      const limited: NicEnd = {
        deliver(frame) {
          inward.spend(frame.bytes.length);
          nic.deliver(frame);
        },
        hasRoom(mac) {
          if (!inward.mayPass) inward.whenItMay(() => end.roomAvailable());
          return inward.mayPass && nic.hasRoom(mac);
        },
      };
      const end = network.attach(limited);
      const waiting: Frame[] = [];
      let waitingBytes = 0;
      const send = (): void => {
        while (waiting.length > 0 && outward.mayPass) {
          const frame = waiting.shift() as Frame;
          waitingBytes -= frame.bytes.length;
          outward.spend(frame.bytes.length);
          end.transmit(frame);
        }
        if (waiting.length > 0) outward.whenItMay(send);
      };
      const forget = (): void => {
        waiting.length = 0;
        waitingBytes = 0;
        inward.stop();
        outward.stop();
      };
      return {
        transmit(frame) {
          if (waitingBytes + frame.bytes.length > MAX_WAITING_BYTES) return;
          waiting.push(frame);
          waitingBytes += frame.bytes.length;
          send();
        },
        roomAvailable: () => end.roomAvailable(),
        reset() {
          forget();
          end.reset();
        },
        detach() {
          forget();
          end.detach();
        },
        connections: () => end.connections?.() ?? [],
        lost: (connections) => end.lost?.(connections),
      };
    },
  };
}

class Rate {
  readonly #perSecond: number;
  readonly #clock: Clock;
  #credit: number;
  #atNs: number;
  #timer: Timer | undefined;

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#credit = perSecond * BURST_SECONDS;
    this.#atNs = clock.nowNs();
  }

  get mayPass(): boolean {
    const now = this.#clock.nowNs();
    const earned = ((now - this.#atNs) / 1e9) * this.#perSecond;
    this.#credit = Math.min(this.#perSecond * BURST_SECONDS, this.#credit + earned);
    this.#atNs = now;
    return this.#credit > 0;
  }

  /** May go below zero: a frame larger than the burst passes, and the next waits the longer. */
  spend(bytes: number): void {
    this.#credit -= bytes;
  }

  whenItMay(then: () => void): void {
    if (this.#timer) return;
    const waitNs = Math.max(1, Math.ceil(((1 - this.#credit) / this.#perSecond) * 1e9));
    this.#timer = this.#clock.schedule(this.#clock.nowNs() + waitNs, () => {
      this.#timer = undefined;
      then();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
