import type { AccessSize, BusHandler, InterruptLine } from "@queztl/memory";
import { DeviceControl } from "./control.ts";
import type { ControlState, TransportOptions } from "./control.ts";
import { checkState, isWhole } from "../state.ts";
import { IsrBit, QUEUE_ADDRESSES, areSelectors, setAddressHalf } from "./registers.ts";

const VIRTIO_VENDOR = 0x1af4;
const MODERN_DEVICE_BASE = 0x1040;
const VENDOR_CAPABILITY = 0x09;
const BAR_BYTES = 0x4000;
const NOTIFY_MULTIPLIER = 4;
const NO_VECTOR = 0xffff;

/** The structures in the BAR and their capability types (virtio 1.2, 4.1.4). */
const STRUCTURES = [
  { type: 1, offset: 0x0000, length: 0x40 }, // common configuration
  { type: 2, offset: 0x3000, length: 0x1000 }, // notifications, with the multiplier appended
  { type: 3, offset: 0x1000, length: 0x1000 }, // interrupt status
  { type: 4, offset: 0x2000, length: 0x1000 }, // device configuration
] as const;
const CONFIG_ACCESS = 5;

/** PCI class, subclass and programming interface by virtio device type. */
const CLASS_CODES: Readonly<Record<number, number>> = {
  1: 0x02_00_00,
  2: 0x01_00_00,
  3: 0x07_80_00,
  19: 0x07_80_00,
};
const OTHER_CLASS = 0x00_ff_00;

/** How a PCI function raises interrupts; the PCI host gives it to `connect`. */
export interface PciInterrupts {
  /** Whether the driver turned MSI-X on. */
  readonly msixEnabled: boolean;
  /** Sends the message of an MSI-X vector, or marks it pending while it is masked. */
  notify(vector: number): void;
  /** The INTx pin. */
  readonly line: InterruptLine;
}

/** A capability of a PCI function, after its two header bytes (id and next) that the PCI host writes. */
export interface PciCapabilityDescription {
  readonly id: number;
  readonly body: Uint8Array;
  /** When given, accesses to the body go here instead of to the bytes; `offset` counts from the body's start. */
  readonly access?: BusHandler;
}

/** A memory BAR of a PCI function. */
export interface PciBarDescription {
  readonly index: number;
  readonly bytes: number;
  readonly handler: BusHandler;
}

/** A PCI function as data: the PCI host owns its config space, BAR sizing, MSI-X table and masking. */
export interface PciFunctionDescription {
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  /** 24 bits: class, subclass, programming interface. */
  readonly classCode: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly bars: readonly PciBarDescription[];
  readonly capabilities: readonly PciCapabilityDescription[];
  readonly msixVectors: number;
  connect(interrupts: PciInterrupts): void;
  /** The bus was reset. */
  reset(): void;
}

/** The saved state of a device behind PCI. The PCI host saves the config space and the MSI-X table. */
export interface PciTransportState {
  readonly version: 1;
  readonly control: ControlState;
  readonly isr: number;
  readonly configVector: number;
  readonly queueVectors: readonly number[];
  readonly selectors: readonly [number, number, number];
  readonly window: readonly [number, number, number];
}

/** Registers of the common configuration structure: name, offset, size (virtio 1.2, 4.1.4.3). */
const COMMON = [
  ["deviceFeatureSelect", 0x00, 4],
  ["deviceFeature", 0x04, 4],
  ["driverFeatureSelect", 0x08, 4],
  ["driverFeature", 0x0c, 4],
  ["configVector", 0x10, 2],
  ["queues", 0x12, 2],
  ["status", 0x14, 1],
  ["generation", 0x15, 1],
  ["queueSelect", 0x16, 2],
  ["queueSize", 0x18, 2],
  ["queueVector", 0x1a, 2],
  ["queueEnable", 0x1c, 2],
  ["queueNotifyOffset", 0x1e, 2],
  ["address0", 0x20, 4],
  ["address1", 0x24, 4],
  ["address2", 0x28, 4],
  ["address3", 0x2c, 4],
  ["address4", 0x30, 4],
  ["address5", 0x34, 4],
] as const;
type CommonRegister = (typeof COMMON)[number][0];

/**
 * Virtio over PCI, the modern interface (virtio 1.2, 4.1): one BAR, MSI-X with a vector per queue and one for
 * configuration changes, INTx with the interrupt status register as the fallback. `description` is what
 * a PCI host needs to put it on a bus.
 */
export class PciTransport {
  readonly control: DeviceControl;
  readonly description: PciFunctionDescription;

  #interrupts: PciInterrupts | undefined;
  #isr = 0;
  #configVector = NO_VECTOR;
  #queueVectors: number[] = [];
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;
  /** The PCI configuration access window: BAR, offset, length. */
  #window: [number, number, number] = [0, 0, 0];

  constructor(options: TransportOptions) {
    const { device } = options;
    this.control = new DeviceControl(
      { awaitsReset: true, ...options },
      {
        queue: (index) => this.#interrupt(this.#queueVectors[index] ?? NO_VECTOR, IsrBit.Queue),
        config: () => this.#interrupt(this.#configVector, IsrBit.Config),
      },
    );
    this.#forgetVectors();
    const handler: BusHandler = {
      read: (offset, size) => this.#read(offset, size),
      write: (offset, size, value) => this.#write(offset, size, value),
    };
    this.description = {
      name: `virtio-${device.name}`,
      vendorId: VIRTIO_VENDOR,
      deviceId: MODERN_DEVICE_BASE + device.type,
      revision: 1,
      classCode: CLASS_CODES[device.type] ?? OTHER_CLASS,
      subsystemVendorId: VIRTIO_VENDOR,
      subsystemId: MODERN_DEVICE_BASE + device.type,
      bars: [{ index: 0, bytes: BAR_BYTES, handler }],
      capabilities: [...STRUCTURES.map(structureCapability), this.#configAccess(handler)],
      msixVectors: device.queueSizes.length + 1,
      connect: (interrupts) => {
        this.#interrupts = interrupts;
      },
      reset: () => {
        this.control.reset();
        this.#reset();
      },
    };
  }

  /** The offset in BAR 0 whose write notifies a queue, for engines that wake the device without an exit. */
  notifyOffset(queue: number): number {
    return STRUCTURES[1].offset + queue * NOTIFY_MULTIPLIER;
  }

  save(): PciTransportState {
    return {
      version: 1,
      control: this.control.save(),
      isr: this.#isr,
      configVector: this.#configVector,
      queueVectors: [...this.#queueVectors],
      selectors: [this.#deviceFeatureSelect, this.#driverFeatureSelect, this.#queueSelect],
      window: [...this.#window],
    };
  }

  /** Goes on from a saved state, paused until `control.resume`. @throws QZ_VIRTIO_STATE, QZ_VIRTIO_RING */
  restore(state: PciTransportState): void {
    const check = checkState("PCI transport", state, 1);
    const vectors: unknown = state.queueVectors;
    const { length } = this.#queueVectors;
    check(isWhole(state.isr, 3) && isWhole(state.configVector, 0xffff), "its interrupts");
    check(
      Array.isArray(vectors) &&
        vectors.length === length &&
        vectors.every((vector) => isWhole(vector, 0xffff)),
      "its vectors",
    );
    check(areSelectors(state.selectors) && areSelectors(state.window), "its selectors");
    this.control.restore(state.control);
    this.#isr = state.isr;
    this.#configVector = state.configVector;
    this.#queueVectors = [...state.queueVectors];
    [this.#deviceFeatureSelect, this.#driverFeatureSelect, this.#queueSelect] = state.selectors;
    this.#window = [...state.window];
  }

  #read(offset: number, size: AccessSize): number {
    switch (offset >> 12) {
      case 0: {
        const [register, at, width] = commonRegister(offset);
        if (register === undefined || offset - at + size > width) return 0;
        return this.#readCommon(register) >>> (8 * (offset - at));
      }
      case 1: {
        if (offset !== STRUCTURES[2].offset) return 0;
        const isr = this.#isr;
        this.#isr = 0;
        this.#interrupts?.line.set(false);
        return isr;
      }
      case 2:
        return this.control.device.config.read(offset - STRUCTURES[3].offset, size);
      default:
        return 0;
    }
  }

  #write(offset: number, size: AccessSize, value: number): void {
    switch (offset >> 12) {
      case 0: {
        const [register, at, width] = commonRegister(offset);
        if (register !== undefined && offset === at && size === width)
          this.#writeCommon(register, value);
        break;
      }
      case 2:
        this.control.writeConfig(offset - STRUCTURES[3].offset, size, value);
        break;
      case 3:
        this.control.notify((offset - STRUCTURES[1].offset) / NOTIFY_MULTIPLIER);
        break;
    }
  }

  #readCommon(register: CommonRegister): number {
    const { control } = this;
    const queue = control.queues[this.#queueSelect];
    switch (register) {
      case "deviceFeatureSelect":
        return this.#deviceFeatureSelect;
      case "deviceFeature":
        return control.offeredFeatures(this.#deviceFeatureSelect);
      case "driverFeatureSelect":
        return this.#driverFeatureSelect;
      case "driverFeature":
        return this.#driverFeatureSelect > 1
          ? 0
          : Number(
              BigInt.asUintN(32, control.driverFeatures >> BigInt(32 * this.#driverFeatureSelect)),
            );
      case "configVector":
        return this.#configVector;
      case "queues":
        return control.queues.length;
      case "status":
        return control.status;
      case "generation":
        return control.configGeneration;
      case "queueSelect":
        return this.#queueSelect;
      case "queueSize":
        return queue?.size ?? 0;
      case "queueVector":
        return this.#queueVectors[this.#queueSelect] ?? NO_VECTOR;
      case "queueEnable":
        return queue?.enabled ? 1 : 0;
      case "queueNotifyOffset":
        return queue ? this.#queueSelect : 0;
      default: {
        const word = Number(register.slice(-1));
        const name = QUEUE_ADDRESSES[word >> 1];
        return queue && name ? (queue[name][word & 1] ?? 0) : 0;
      }
    }
  }

  #writeCommon(register: CommonRegister, value: number): void {
    const { control } = this;
    switch (register) {
      case "deviceFeatureSelect":
        this.#deviceFeatureSelect = value;
        break;
      case "driverFeatureSelect":
        this.#driverFeatureSelect = value;
        break;
      case "driverFeature":
        control.selectFeatures(this.#driverFeatureSelect, value);
        break;
      case "configVector":
        this.#configVector = this.#vector(value);
        break;
      case "status":
        control.writeStatus(value);
        if (value === 0) this.#reset();
        break;
      case "queueSelect":
        this.#queueSelect = value;
        break;
      case "queueSize": {
        const queue = control.writableQueue(this.#queueSelect, register);
        if (queue) queue.size = value;
        break;
      }
      case "queueVector":
        if (control.queues[this.#queueSelect])
          this.#queueVectors[this.#queueSelect] = this.#vector(value);
        break;
      case "queueEnable":
        if (value === 1) control.enableQueue(this.#queueSelect);
        break;
      case "deviceFeature":
      case "queues":
      case "generation":
      case "queueNotifyOffset":
        break;
      default: {
        const word = Number(register.slice(-1));
        const name = QUEUE_ADDRESSES[word >> 1];
        const queue = control.writableQueue(this.#queueSelect, "queue address");
        if (queue && name) setAddressHalf(queue, name, word & 1 ? 1 : 0, value);
      }
    }
  }

  /** A vector the device does not have reads back as none, which tells the driver (virtio 1.2, 4.1.5.1.2). */
  #vector(value: number): number {
    return value < this.description.msixVectors ? value : NO_VECTOR;
  }

  #interrupt(vector: number, bit: number): void {
    const interrupts = this.#interrupts;
    if (interrupts?.msixEnabled) {
      if (vector !== NO_VECTOR) interrupts.notify(vector);
      return;
    }
    this.#isr |= bit;
    interrupts?.line.set(true);
  }

  #reset(): void {
    this.#isr = 0;
    this.#interrupts?.line.set(false);
    this.#forgetVectors();
  }

  #forgetVectors(): void {
    this.#configVector = NO_VECTOR;
    this.#queueVectors = this.control.device.queueSizes.map(() => NO_VECTOR);
  }

  /** The window for firmware that cannot map the BAR (virtio 1.2, 4.1.4.9): BAR, offset, length, data. */
  #configAccess(bar: BusHandler): PciCapabilityDescription {
    const body = capabilityBody({ type: CONFIG_ACCESS, offset: 0, length: 0 }, 4);
    const data = 14;
    const access: BusHandler = {
      read: (offset, size) => {
        const [index, at, length] = this.#window;
        if (offset === data) return inWindow(index, at, length, size) ? bar.read(at, size) : 0;
        const fields: Readonly<Record<number, number>> = { 2: index, 6: at, 10: length };
        const field = fields[offset];
        if (field !== undefined) return field;
        let value = 0;
        for (let i = size - 1; i >= 0; i--) value = (value << 8) | (body[offset + i] ?? 0);
        return value;
      },
      write: (offset, size, value) => {
        const [index, at, length] = this.#window;
        if (offset === data) {
          if (inWindow(index, at, length, size)) bar.write(at, size, value);
        } else if (offset === 2) this.#window[0] = value & 0xff;
        else if (offset === 6) this.#window[1] = value;
        else if (offset === 10) this.#window[2] = value;
      },
    };
    return { id: VENDOR_CAPABILITY, body, access };
  }
}

function inWindow(bar: number, offset: number, length: number, size: number): boolean {
  return bar === 0 && length === size && offset % size === 0 && offset + size <= BAR_BYTES;
}

function commonRegister(offset: number): [CommonRegister | undefined, number, number] {
  for (const [name, at, size] of COMMON)
    if (offset >= at && offset < at + size) return [name, at, size];
  return [undefined, 0, 0];
}

function structureCapability(structure: (typeof STRUCTURES)[number]): PciCapabilityDescription {
  const extra = structure.type === 2 ? 4 : 0;
  const body = capabilityBody(structure, extra);
  if (extra) new DataView(body.buffer).setUint32(14, NOTIFY_MULTIPLIER, true);
  return { id: VENDOR_CAPABILITY, body };
}

/** `struct virtio_pci_cap` after its id and next bytes, with `extra` bytes appended. */
function capabilityBody(
  structure: { type: number; offset: number; length: number },
  extra: number,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(14 + extra);
  const view = new DataView(body.buffer);
  body[0] = 16 + extra;
  body[1] = structure.type;
  view.setUint32(6, structure.offset, true);
  view.setUint32(10, structure.length, true);
  return body;
}
