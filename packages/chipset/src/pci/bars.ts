import type { Bus, Claim } from "@queztl/memory";
import { isQueztlError } from "@queztl/errors";
import { chipsetError } from "../errors.ts";
import { Command, Header } from "./config-space.ts";
import type { ConfigSpace } from "./config-space.ts";
import type { PciBarDescription } from "./function.ts";

const BARS = 6;

/** Where BARs are mapped. */
export interface BarBuses {
  readonly ports: Bus;
  readonly mmio: Bus;
}

/** The addresses one BAR takes. */
export interface BarRange {
  readonly kind: "memory32" | "memory64" | "io";
  readonly start: number;
  readonly bytes: number;
}

interface Bar extends Required<PciBarDescription> {
  readonly register: number;
  claim: Claim | undefined;
}

/**
 * The base address registers of one function: sizing by writing ones, and a claim on the bus that follows
 * the address and the command register's enable bits. A guest that maps a BAR over something else, or off
 * the bus, gets no mapping until it moves it.
 */
export class BaseAddressRegisters {
  readonly #name: string;
  readonly #config: ConfigSpace;
  readonly #buses: BarBuses;
  readonly #bars: readonly Bar[];

  /** @throws QZ_CHIPSET_PCI_LAYOUT for indices that overlap or sizes that cannot be. */
  constructor(
    name: string,
    config: ConfigSpace,
    bars: readonly PciBarDescription[],
    buses: BarBuses,
  ) {
    this.#name = name;
    this.#config = config;
    this.#buses = buses;
    const taken = new Set<number>();
    this.#bars = bars.map((bar) => {
      const { index, bytes, kind = "memory32", prefetchable = false } = bar;
      const indices = kind === "memory64" ? [index, index + 1] : [index];
      const possible =
        indices.every((i) => Number.isInteger(i) && i >= 0 && i < BARS && !taken.has(i)) &&
        Number.isSafeInteger(bytes) &&
        Number.isInteger(Math.log2(bytes)) &&
        (kind === "io" ? bytes >= 4 && bytes <= 256 : bytes >= 16) &&
        bytes <= (kind === "memory64" ? 2 ** 40 : 2 ** 31);
      if (!possible) {
        throw chipsetError("QZ_CHIPSET_PCI_LAYOUT", {
          name,
          reason: `BAR ${index} (${kind}, ${bytes} bytes) is taken or has no possible size`,
        });
      }
      for (const i of indices) taken.add(i);
      const register = Header.Bar0 + 4 * index;
      const flags = kind === "io" ? 1 : (kind === "memory64" ? 4 : 0) | (prefetchable ? 8 : 0);
      const low = bytes > 2 ** 31 ? 0 : -bytes >>> 0;
      config.define(register, 4, flags, low);
      const high = bytes > 2 ** 32 ? -(bytes / 2 ** 32) >>> 0 : 0xffff_ffff;
      if (kind === "memory64") config.define(register + 4, 4, 0, high);
      return { ...bar, kind, prefetchable, register, claim: undefined };
    });
  }

  /** The first index that no BAR takes, or -1. */
  static free(bars: readonly PciBarDescription[]): number {
    const taken = new Set(
      bars.flatMap((b) => (b.kind === "memory64" ? [b.index, b.index + 1] : [b.index])),
    );
    for (let i = 0; i < BARS; i++) if (!taken.has(i)) return i;
    return -1;
  }

  /** What each BAR's register says now, mapped or not. */
  ranges(): BarRange[] {
    return this.#bars.map((bar) => ({
      kind: bar.kind,
      start: this.#address(bar),
      bytes: bar.bytes,
    }));
  }

  /** Gives every BAR an address, as firmware does; `place` finds one aligned to the size. */
  assign(place: (bar: BarRange) => number): void {
    for (const bar of this.#bars) {
      const address = place({ kind: bar.kind, start: 0, bytes: bar.bytes });
      const flags = this.#config.get(bar.register, 4) & (bar.kind === "io" ? 3 : 15);
      this.#config.set(bar.register, 4, ((address % 2 ** 32) + flags) >>> 0);
      if (bar.kind === "memory64")
        this.#config.set(bar.register + 4, 4, Math.floor(address / 2 ** 32));
    }
    this.update();
  }

  /** Follows the registers: claims what is enabled, releases what is not or has moved. */
  update(): void {
    const command = this.#config.get(Header.Command, 2);
    const wanted = this.#bars.map((bar) => {
      const enabled = command & (bar.kind === "io" ? Command.Io : Command.Memory);
      // Address 0 stands for "not assigned".
      return (enabled && this.#address(bar)) || undefined;
    });
    // First give back, so that two BARs can change places.
    this.#bars.forEach((bar, i) => {
      if (bar.claim?.base !== wanted[i]) release(bar);
    });
    this.#bars.forEach((bar, i) => {
      const address = wanted[i];
      if (address !== undefined) bar.claim ??= this.#claim(bar, address);
    });
  }

  release(): void {
    for (const bar of this.#bars) release(bar);
  }

  #address(bar: Bar): number {
    const low = this.#config.get(bar.register, 4);
    if (bar.kind === "io") return (low & ~3) >>> 0;
    const high = bar.kind === "memory64" ? this.#config.get(bar.register + 4, 4) : 0;
    return high * 2 ** 32 + ((low & ~15) >>> 0);
  }

  #claim(bar: Bar, address: number): Claim | undefined {
    const bus = bar.kind === "io" ? this.#buses.ports : this.#buses.mmio;
    try {
      return bus.claim(address, bar.bytes, `${this.#name} BAR ${bar.index}`, bar.handler);
    } catch (error) {
      if (isQueztlError(error)) return undefined;
      throw error;
    }
  }
}

function release(bar: Bar): void {
  bar.claim?.release();
  bar.claim = undefined;
}
