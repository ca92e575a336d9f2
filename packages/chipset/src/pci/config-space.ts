import type { AccessSize, BusHandler } from "@queztl/memory";
import { OPEN_BUS } from "@queztl/memory";
import { chipsetError } from "../errors.ts";
import type { PciCapabilityDescription, PciFunctionDescription } from "./function.ts";

/** The size of a conventional PCI function's config space; there are no extended registers. */
export const CONFIG_BYTES = 256;

/** Registers of a type 0 header (PCI Local Bus 3.0, 6.1). */
export const Header = {
  VendorId: 0x00,
  DeviceId: 0x02,
  Command: 0x04,
  Status: 0x06,
  Revision: 0x08,
  CacheLine: 0x0c,
  HeaderType: 0x0e,
  Bar0: 0x10,
  SubsystemVendorId: 0x2c,
  SubsystemId: 0x2e,
  Capabilities: 0x34,
  InterruptLine: 0x3c,
  InterruptPin: 0x3d,
} as const;

/** Bits of the command register. */
export const Command = { Io: 1, Memory: 2, BusMaster: 4, InterruptDisable: 0x400 } as const;
const COMMAND_WRITABLE = 0x0547;

/** Bits of the status register. */
export const Status = { Interrupt: 8, Capabilities: 0x10 } as const;
const STATUS_CLEARABLE = 0xf900;

const FIRST_CAPABILITY = 0x40;

interface Region {
  readonly start: number;
  readonly end: number;
  readonly handler: BusHandler;
}

/**
 * The 256 bytes of one function's config space: which bits the guest may write, which it clears by
 * writing ones, and the capabilities whose accesses go to a handler.
 */
export class ConfigSpace {
  readonly #name: string;
  readonly #bytes = new Uint8Array(CONFIG_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #writable = new Uint8Array(CONFIG_BYTES);
  readonly #clearable = new Uint8Array(CONFIG_BYTES);
  readonly #regions: Region[] = [];
  #nextCapability = FIRST_CAPABILITY;
  /** Where the pointer to the next capability goes. */
  #link: number = Header.Capabilities;

  constructor(description: PciFunctionDescription) {
    this.#name = description.name;
    const { revision, classCode, interruptPin = 1 } = description;
    this.define(Header.VendorId, 2, description.vendorId);
    this.define(Header.DeviceId, 2, description.deviceId);
    this.define(Header.Command, 2, 0, COMMAND_WRITABLE);
    this.define(Header.Status, 2, 0);
    this.#clearable[Header.Status + 1] = STATUS_CLEARABLE >>> 8;
    this.define(Header.Revision, 4, ((classCode << 8) | (revision & 0xff)) >>> 0);
    this.define(Header.CacheLine, 1, 0, 0xff);
    this.define(Header.SubsystemVendorId, 2, description.subsystemVendorId);
    this.define(Header.SubsystemId, 2, description.subsystemId);
    this.define(Header.InterruptLine, 1, 0, 0xff);
    this.define(Header.InterruptPin, 1, interruptPin);
  }

  /** Sets a register and which of its bits the guest may write. */
  define(offset: number, size: AccessSize, value: number, writable = 0): void {
    for (let i = 0; i < size; i++) {
      this.#bytes[offset + i] = value >>> (8 * i);
      this.#writable[offset + i] = writable >>> (8 * i);
    }
  }

  /**
   * Adds a capability to the list and returns its offset.
   * @throws QZ_CHIPSET_PCI_LAYOUT when it does not fit.
   */
  addCapability(capability: PciCapabilityDescription): number {
    const { id, body, access } = capability;
    const start = this.#nextCapability;
    const end = start + 2 + body.length;
    if (end > CONFIG_BYTES) {
      throw chipsetError("QZ_CHIPSET_PCI_LAYOUT", {
        name: this.#name,
        reason: `its capabilities need ${end - CONFIG_BYTES} bytes more than there are`,
      });
    }
    this.#bytes[this.#link] = start;
    this.#link = start + 1;
    this.#bytes[start] = id;
    this.#bytes.set(body, start + 2);
    this.#nextCapability = (end + 3) & ~3;
    this.#bytes[Header.Status] = Status.Capabilities;
    if (access) this.#regions.push({ start: start + 2, end, handler: access });
    return start;
  }

  /** A register as it is stored, whatever handles the guest's accesses to it. */
  get(offset: number, size: AccessSize): number {
    if (size === 1) return this.#view.getUint8(offset);
    return size === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint32(offset, true);
  }

  set(offset: number, size: AccessSize, value: number): void {
    if (size === 1) this.#view.setUint8(offset, value);
    else if (size === 2) this.#view.setUint16(offset, value, true);
    else this.#view.setUint32(offset, value, true);
  }

  /** A guest's read. */
  read(offset: number, size: AccessSize): number {
    if (offset + size > CONFIG_BYTES) return OPEN_BUS[size];
    const region = this.#region(offset, size);
    if (region) return region.handler.read(offset - region.start, size);
    if (size === 1 || !this.#crosses(offset, size)) return this.get(offset, size);
    let value = 0;
    for (let i = 0; i < size; i++) value += (this.read(offset + i, 1) & 0xff) * 2 ** (8 * i);
    return value;
  }

  /** A guest's write. */
  write(offset: number, size: AccessSize, value: number): void {
    if (offset + size > CONFIG_BYTES) return;
    const region = this.#region(offset, size);
    if (region) {
      region.handler.write(offset - region.start, size, value);
      return;
    }
    const parts = size > 1 && this.#crosses(offset, size);
    for (let i = 0; i < size; i++) {
      const byte = (value >>> (8 * i)) & 0xff;
      if (parts) this.write(offset + i, 1, byte);
      else this.#writeByte(offset + i, byte);
    }
  }

  /** The bytes as they are stored. */
  save(): Uint8Array {
    return this.#bytes.slice();
  }

  /** Takes the guest-writable bits of saved bytes; everything else stays what this function says. */
  restore(bytes: Uint8Array): void {
    for (let i = 0; i < CONFIG_BYTES; i++) {
      const changeable = (this.#writable[i] as number) | (this.#clearable[i] as number);
      const kept = (this.#bytes[i] as number) & ~changeable;
      this.#bytes[i] = kept | ((bytes[i] as number) & changeable);
    }
  }

  #writeByte(offset: number, value: number): void {
    const was = this.#bytes[offset] as number;
    const writable = this.#writable[offset] as number;
    const cleared = (this.#clearable[offset] as number) & value;
    this.#bytes[offset] = (was & ~writable & ~cleared) | (value & writable);
  }

  #region(offset: number, size: number): Region | undefined {
    return this.#regions.find((r) => offset >= r.start && offset + size <= r.end);
  }

  #crosses(offset: number, size: number): boolean {
    return this.#regions.some((r) => offset < r.end && offset + size > r.start);
  }
}
