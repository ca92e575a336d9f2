import { isQueztlError } from "@queztl/errors";
import { SeededEntropy } from "@queztl/memory";
import type { GuestMemory, VirtualClock } from "@queztl/memory";
import { expect } from "vitest";
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  MemoryFile,
  NetDevice,
  RawDisk,
  RngDevice,
  UserNetwork,
  VsockDevice,
} from "../../src/index.ts";
import type { HostSockets, HostTcp, TcpEvents, VirtioDevice } from "../../src/index.ts";
import { turn } from "../../src/testing/driver.ts";

/**
 * How long to fuzz: a fixed number of rounds from fixed seeds, or by hand for QUEZTL_FUZZ_SECONDS from seeds
 * that differ each time. A failure names its seed; QUEZTL_FUZZ_SEED runs that one alone.
 */
const seconds = Number(process.env.QUEZTL_FUZZ_SECONDS ?? 0);
const only = process.env.QUEZTL_FUZZ_SEED;

/** The time limit a fuzz test needs, in milliseconds. */
export const FUZZ_TIMEOUT = Math.max(60_000, (seconds + 60) * 1000);

/** Random choices from a seed. */
export class Dice {
  readonly #source: SeededEntropy;
  constructor(seed: number) {
    this.#source = new SeededEntropy(seed);
  }
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor((this.#source.nextUint32() / 2 ** 32) * limit);
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#source.nextUint32();
    return bytes;
  }
  /** Numbers that break things: around powers of two and limits, small, or anything of 32 bits. */
  nasty(): number {
    const near = 2 ** this.below(33) + this.below(5) - 2;
    return this.pick([
      0,
      1,
      this.below(64),
      this.below(5000),
      Math.max(0, near) % 2 ** 32,
      this.#source.nextUint32(),
    ]);
  }
  /** Changes some bytes. */
  mutate(bytes: Uint8Array): void {
    for (let i = this.below(8); i >= 0 && bytes.length > 0; i--)
      bytes[this.below(bytes.length)] = this.pick([0, 1, 0x7f, 0x80, 0xff, this.below(256)]);
  }
}

/** Runs `round` for each seed and returns how many came through; what it throws is reported with the seed. */
export async function fuzz(
  rounds: number,
  round: (dice: Dice) => void | Promise<void>,
): Promise<number> {
  if (only !== undefined) {
    await round(new Dice(Number(only)));
    return rounds;
  }
  const end = performance.now() + seconds * 1000;
  const first = seconds > 0 ? Date.now() % 2 ** 31 : 1;
  let done = 0;
  for (let seed = first; seed < first + rounds || performance.now() < end; seed++) {
    try {
      await round(new Dice(seed));
      done++;
    } catch (error) {
      throw new Error(`seed ${seed} (run it alone with QUEZTL_FUZZ_SEED=${seed})`, {
        cause: error,
      });
    }
  }
  return done;
}

/** Faults must be coded, and be the guest's. */
export function expectGuestFaults(faults: readonly Error[]): void {
  for (const fault of faults) {
    const guest = isQueztlError(fault) && fault.status === "guest";
    if (!guest) throw new Error("a fault that is not the guest's", { cause: fault });
  }
}

/** A print of what lies outside guest RAM and no device may touch. */
export function outsideOf(memory: GuestMemory): string {
  const outside = memory.bytes.subarray(0, memory.ramOffset);
  return Buffer.from(outside).toString("latin1");
}

/** Sockets of a host that answers at random, at once or never. */
export function randomSockets(dice: Dice): HostSockets {
  const tcp = (events: TcpEvents): HostTcp => {
    const say = (): void => {
      const choice = dice.below(8);
      if (choice < 3) events.data(dice.bytes(dice.below(5000)));
      else if (choice === 3) events.ended();
      else if (choice === 4) events.drained();
      else if (choice === 5) events.closed(dice.pick([undefined, "ECONNRESET", "EHOSTUNREACH"]));
    };
    if (dice.chance(2)) queueMicrotask(() => events.connected());
    return {
      bufferedBytes: dice.nasty() % 2 ** 21,
      write: () => queueMicrotask(say),
      end: say,
      pause: () => {},
      resume: () => queueMicrotask(say),
      reset: () => {},
    };
  };
  const udp = (received: (bytes: Uint8Array, from: { address: string; port: number }) => void) => ({
    send: (bytes: Uint8Array, to: { address: string; port: number }) =>
      queueMicrotask(() => received(dice.chance(2) ? bytes : dice.bytes(dice.below(3000)), to)),
    close: () => {},
  });
  return {
    connectTcp: (_, events) => tcp(events),
    listenTcp: () => Promise.reject(new Error("not used")),
    openUdp: udp,
    listenUdp: () => Promise.reject(new Error("not used")),
    nameServers: () => ["9.9.9.9"],
  };
}

/** A file of whose reads some have to wait. */
class PartlyCachedFile extends MemoryFile {
  readonly #dice: Dice;
  constructor(dice: Dice) {
    super(1024 * 1024);
    this.#dice = dice;
  }
  override readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    return this.#dice.chance(2) && super.readCached(offset, targets);
  }
}

/** Each kind of device, with back ends that answer at random. */
export const DEVICES: readonly [
  string,
  (dice: Dice, clock: VirtualClock) => Promise<VirtioDevice>,
][] = [
  [
    "block",
    async (dice) => {
      const file = new PartlyCachedFile(dice);
      return new BlockDevice({ backend: await RawDisk.open(file), queues: 2 });
    },
  ],
  [
    "net",
    async (dice, clock) => {
      const sockets = randomSockets(dice);
      const network = await UserNetwork.open({ clock, sockets, access: { allow: ["0.0.0.0/0"] } });
      return new NetDevice({ network, mac: "52:54:00:12:34:56" });
    },
  ],
  [
    "console",
    (dice) =>
      Promise.resolve(
        new ConsoleDevice({
          ports: [{ name: "tty", onOutput: () => !dice.chance(9) }, { name: "agent" }],
          size: { columns: 80, rows: 25 },
        }),
      ),
  ],
  ["rng", () => Promise.resolve(new RngDevice({ entropy: new SeededEntropy(1) }))],
  [
    "vsock",
    (dice, clock) => {
      const device = new VsockDevice({ cid: 3, clock });
      device.listen(1024, (socket) => {
        socket.listen({
          data: (bytes) => {
            const choice = dice.below(5);
            if (choice === 0) socket.end();
            else if (choice === 1) socket.reset();
            else
              try {
                socket.write(bytes);
              } catch (error) {
                if (!isQueztlError(error, "QZ_VIRTIO_CLOSED")) throw error;
              }
            return !dice.chance(5);
          },
        });
      });
      return Promise.resolve(device);
    },
  ],
  ["balloon", () => Promise.resolve(new BalloonDevice({ discard: () => {} }))],
];

/** Lets host I/O end; a device that does not come to rest hangs the test. */
export async function settle(device: VirtioDevice, clock: VirtualClock): Promise<void> {
  for (let i = 0; i < 3; i++) await turn();
  clock.advanceTo(clock.nowNs() + 1e9);
  await device.settled?.();
  await turn();
}

export function expectSame(before: string, after: string): void {
  expect(before === after, "bytes outside guest RAM changed").toBe(true);
}
