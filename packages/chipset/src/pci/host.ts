import type { AccessSize, Bus, BusHandler, Claim, MsiSink, Snapshottable } from "@queztl/memory";
import { OPEN_BUS } from "@queztl/memory";
import { chipsetError } from "../errors.ts";
import type { InterruptLines } from "../interrupt-lines.ts";
import { pcPlatform } from "../pc-platform.ts";
import { record, stateLayout, u32 } from "../state.ts";
import type { BarRange } from "./bars.ts";
import { Header } from "./config-space.ts";
import type { PciFunctionDescription } from "./function.ts";
import { PciSlot } from "./slot.ts";
import type { PciSlotState } from "./slot.ts";

const DEVICES = 32;
const FUNCTIONS = 8;
const ENABLE = 0x8000_0000;
const MULTIFUNCTION = 0x80;

const { window32, window64, ioWindow, pirqs, ecam, configPort, configLength } = pcPlatform.pci;

/** The bridge itself, at device 0. */
const bridge: PciFunctionDescription = {
  name: "PCI host bridge",
  vendorId: 0x1b36,
  deviceId: 0x0008,
  revision: 0,
  classCode: 0x06_00_00,
  subsystemVendorId: 0x1af4,
  subsystemId: 0x1100,
  bars: [],
  capabilities: [],
  msixVectors: 0,
  interruptPin: 0,
  connect: () => {},
};

/** Which PIRQ the pin of a device drives: neighbours in slot order get different ones. */
export function pirqOf(device: number, interruptPin: number): (typeof pirqs)[number] {
  return pirqs[(device + interruptPin - 1) % pirqs.length] as (typeof pirqs)[number];
}

/** What the host bridge is built into. */
export interface PciHostOptions {
  readonly ports: Bus;
  readonly mmio: Bus;
  readonly lines: InterruptLines;
  readonly msi: MsiSink;
  /** Port 0xCF9, which lies among the configuration ports. */
  readonly resetPort: BusHandler;
}

/** The saved state of the bus: the address register and every plugged function's config space. */
export interface PciHostState {
  readonly version: 1;
  readonly address: number;
  /** By slot name, "device.function" in decimal. */
  readonly slots: Readonly<Record<string, PciSlotState>>;
}

/**
 * The PCI host bridge: bus 0 with up to 32 devices of 8 functions, configured by ports 0xCF8/0xCFC and by
 * ECAM. BARs get addresses when a function is plugged, as firmware gives them.
 */
export class PciHost implements Snapshottable<PciHostState> {
  readonly #options: PciHostOptions;
  readonly #slots = new Map<number, PciSlot>();
  readonly #claims: readonly Claim[];
  #address = 0;

  constructor(options: PciHostOptions) {
    this.#options = options;
    this.plug(bridge, { device: 0 });
    const { ports, mmio } = options;
    this.#claims = [
      ports.claim(configPort, configLength, "PCI configuration", this.#ports),
      mmio.claim(ecam.address, ecam.length, "PCI ECAM", this.#ecam),
    ];
  }

  /** The plugged functions, the bridge among them, in slot order. */
  get slots(): PciSlot[] {
    return [...this.#slots].sort((a, b) => a[0] - b[0]).map(([, slot]) => slot);
  }

  /**
   * Plugs a function in: in the given place, or as function 0 of the first free device.
   * @throws QZ_CHIPSET_PCI_SLOT when the place is taken or there is none, or no address for its BARs;
   * QZ_CHIPSET_PCI_LAYOUT for a description that is not possible.
   */
  plug(
    description: PciFunctionDescription,
    at: { readonly device?: number; readonly function?: number } = {},
  ): PciSlot {
    const fn = at.function ?? 0;
    const device = at.device ?? this.#freeDevice();
    const { name } = description;
    const fail = (reason: string) =>
      chipsetError("QZ_CHIPSET_PCI_SLOT", { name, slot: `${device}.${fn}`, reason });
    if (device === undefined) throw fail(`all ${DEVICES} devices are taken`);
    if (!within(device, DEVICES) || !within(fn, FUNCTIONS))
      throw fail("devices are 0 to 31, functions 0 to 7");
    if (this.#slots.has(device * FUNCTIONS + fn)) throw fail("it is taken");
    const { ports, mmio, lines, msi } = this.#options;
    const pirq = pirqOf(device, description.interruptPin || 1);
    const placed: BarRange[] = [];
    const slot = new PciSlot(description, {
      device,
      function: fn,
      ports,
      mmio,
      msi,
      interrupt: lines.connect({ ioApicPin: pirq.gsi, picInput: pirq.irq }),
      interruptLine: pirq.irq,
      place: (bar) => {
        const start = this.#place(bar, placed);
        if (start === undefined) throw fail(`no ${bar.bytes} bytes of ${bar.kind} are free`);
        placed.push({ ...bar, start });
        return start;
      },
    });
    this.#slots.set(device * FUNCTIONS + fn, slot);
    return slot;
  }

  /** Takes a function off the bus; one that is not there is none to take. */
  unplug(slot: PciSlot): void {
    const key = slot.device * FUNCTIONS + slot.function;
    if (this.#slots.get(key) !== slot) return;
    this.#slots.delete(key);
    slot.unplug();
  }

  /** Resets the bus and every function on it. */
  reset(): void {
    this.#address = 0;
    for (const slot of this.slots) slot.reset();
  }

  save(): PciHostState {
    const slots = this.slots.map((slot) => [keyOf(slot), slot.save()] as const);
    return { version: 1, address: this.#address, slots: Object.fromEntries(slots) };
  }

  /** The same functions must be plugged in the same places. @throws QZ_CHIPSET_STATE */
  restore(state: PciHostState): void {
    const chip = "the PCI bus";
    const s = stateLayout(chip, 1, { address: u32, slots: record({}) }).check(state);
    const here = this.slots.map(keyOf).sort().join(" ");
    const there = Object.keys(state.slots).sort().join(" ");
    if (here !== there) {
      const reason = `it has functions at ${there}, this bus at ${here}`;
      throw chipsetError("QZ_CHIPSET_STATE", { chip, reason });
    }
    this.#address = s.address;
    for (const slot of this.slots) slot.restore(state.slots[keyOf(slot)] as PciSlotState);
  }

  /** Unplugs everything and gives the board's addresses back. */
  release(): void {
    for (const slot of this.slots) this.unplug(slot);
    for (const claim of this.#claims) claim.release();
  }

  get #ports(): BusHandler {
    const { resetPort } = this.#options;
    // 0xCF8 is a register only for 32-bit accesses; a byte at 0xCF9 is the reset register.
    return {
      read: (offset, size) => {
        if (offset >= 4) return this.#readPort(offset - 4, size);
        if (offset === 0 && size === 4) return this.#address;
        return offset === 1 && size === 1 ? resetPort.read(0, 1) : OPEN_BUS[size];
      },
      write: (offset, size, value) => {
        if (offset >= 4) this.#writePort(offset - 4, size, value);
        else if (offset === 0 && size === 4) this.#address = value;
        else if (offset === 1 && size === 1) resetPort.write(0, 1, value);
      },
    };
  }

  #readPort(offset: number, size: AccessSize): number {
    const address = this.#address;
    if (address < ENABLE || (address & 0xff_0000) !== 0) return OPEN_BUS[size];
    return this.#read((address >>> 8) & 0xff, (address & 0xfc) + offset, size);
  }

  #writePort(offset: number, size: AccessSize, value: number): void {
    const address = this.#address;
    if (address < ENABLE || (address & 0xff_0000) !== 0) return;
    this.#write((address >>> 8) & 0xff, (address & 0xfc) + offset, size, value);
  }

  get #ecam(): BusHandler {
    return {
      read: (offset, size) => this.#read(offset >>> 12, offset & 0xfff, size),
      write: (offset, size, value) => this.#write(offset >>> 12, offset & 0xfff, size, value),
    };
  }

  #read(key: number, register: number, size: AccessSize): number {
    const slot = this.#slots.get(key);
    if (slot === undefined) return OPEN_BUS[size];
    const value = slot.read(register, size);
    const bytesIn = Header.HeaderType - register;
    if (slot.function !== 0 || bytesIn < 0 || bytesIn >= size) return value;
    return this.#hasMoreFunctions(slot.device) ? value | (MULTIFUNCTION << (8 * bytesIn)) : value;
  }

  #write(key: number, register: number, size: AccessSize, value: number): void {
    this.#slots.get(key)?.write(register, size, value);
  }

  #hasMoreFunctions(device: number): boolean {
    for (let fn = 1; fn < FUNCTIONS; fn++)
      if (this.#slots.has(device * FUNCTIONS + fn)) return true;
    return false;
  }

  #freeDevice(): number | undefined {
    for (let device = 0; device < DEVICES; device++) {
      const taken = (fn: number) => this.#slots.has(device * FUNCTIONS + fn);
      if (!Array.from({ length: FUNCTIONS }, (_, fn) => fn).some(taken)) return device;
    }
    return undefined;
  }

  /** The lowest address for a BAR that no other BAR says it has. */
  #place(bar: BarRange, placed: readonly BarRange[]): number | undefined {
    const window = bar.kind === "io" ? ioWindow : bar.kind === "memory64" ? window64 : window32;
    const space = (kind: BarRange["kind"]) => (kind === "io" ? "io" : "memory");
    const others = [...this.#slots.values()]
      .flatMap((slot) => slot.ranges)
      .concat(placed)
      .filter((other) => space(other.kind) === space(bar.kind))
      .sort((a, b) => a.start - b.start);
    const align = (address: number) => Math.ceil(address / bar.bytes) * bar.bytes;
    let start = align(window.address);
    for (const other of others) {
      if (other.start < start + bar.bytes && start < other.start + other.bytes)
        start = align(other.start + other.bytes);
    }
    return start + bar.bytes <= window.address + window.length ? start : undefined;
  }
}

function within(n: number, limit: number): boolean {
  return Number.isInteger(n) && n >= 0 && n < limit;
}

function keyOf(slot: PciSlot): string {
  return `${slot.device}.${slot.function}`;
}
