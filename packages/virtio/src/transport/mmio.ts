import type { AccessSize, BusHandler, InterruptLine } from "@queztl/memory";
import { DeviceControl } from "./control.ts";
import type { ControlState, TransportOptions } from "./control.ts";
import { checkState, isWhole } from "../state.ts";
import { IsrBit, QUEUE_ADDRESSES, areSelectors, setAddressHalf } from "./registers.ts";

/** Bytes of guest-physical space one MMIO device claims. */
export const MMIO_BYTES = 0x200;

const MAGIC = 0x7472_6976; // "virt"
const VERSION = 2;
const VENDOR = 0x4c54_5a51; // "QZTL"
const CONFIG = 0x100;

/** Register offsets (virtio 1.2, 4.2.2). */
const Register = {
  Magic: 0x000,
  Version: 0x004,
  DeviceId: 0x008,
  VendorId: 0x00c,
  DeviceFeatures: 0x010,
  DeviceFeaturesSelect: 0x014,
  DriverFeatures: 0x020,
  DriverFeaturesSelect: 0x024,
  QueueSelect: 0x030,
  QueueSizeMax: 0x034,
  QueueSize: 0x038,
  QueueReady: 0x044,
  QueueNotify: 0x050,
  InterruptStatus: 0x060,
  InterruptAck: 0x064,
  Status: 0x070,
  QueueAddresses: 0x080, // descriptor, driver and device areas, 16 bytes apart, low half then high
  SharedMemoryLength: 0x0b0, // a length of all ones: no such region
  ConfigGeneration: 0x0fc,
} as const;

/** The saved state of a device behind MMIO. */
export interface MmioTransportState {
  readonly version: 1;
  readonly control: ControlState;
  readonly interruptStatus: number;
  readonly selectors: readonly [number, number, number];
}

/** Virtio over MMIO, version 2 (virtio 1.2, 4.2): a bus handler of `MMIO_BYTES` and a level-triggered line. */
export class MmioTransport implements BusHandler {
  readonly control: DeviceControl;
  readonly #line: InterruptLine;
  #interruptStatus = 0;
  #deviceFeaturesSelect = 0;
  #driverFeaturesSelect = 0;
  #queueSelect = 0;

  constructor(options: TransportOptions & { readonly line: InterruptLine }) {
    this.#line = options.line;
    this.control = new DeviceControl(options, {
      queue: () => this.#interrupt(IsrBit.Queue),
      config: () => this.#interrupt(IsrBit.Config),
    });
  }

  read(offset: number, size: AccessSize): number {
    const { control } = this;
    if (offset >= CONFIG) return control.device.config.read(offset - CONFIG, size);
    if (size !== 4) return 0;
    const queue = control.queues[this.#queueSelect];
    switch (offset) {
      case Register.Magic:
        return MAGIC;
      case Register.Version:
        return VERSION;
      case Register.DeviceId:
        return control.device.type;
      case Register.VendorId:
        return VENDOR;
      case Register.DeviceFeatures:
        return control.offeredFeatures(this.#deviceFeaturesSelect);
      case Register.QueueSizeMax:
        return control.device.queueSizes[this.#queueSelect] ?? 0;
      case Register.QueueReady:
        return queue?.enabled ? 1 : 0;
      case Register.InterruptStatus:
        return this.#interruptStatus;
      case Register.Status:
        return control.status;
      case Register.ConfigGeneration:
        return control.configGeneration;
      case Register.SharedMemoryLength:
      case Register.SharedMemoryLength + 4:
        return 0xffff_ffff;
      default:
        return 0;
    }
  }

  write(offset: number, size: AccessSize, value: number): void {
    const { control } = this;
    if (offset >= CONFIG) {
      control.writeConfig(offset - CONFIG, size, value);
      return;
    }
    if (size !== 4) return;
    switch (offset) {
      case Register.DeviceFeaturesSelect:
        this.#deviceFeaturesSelect = value;
        break;
      case Register.DriverFeaturesSelect:
        this.#driverFeaturesSelect = value;
        break;
      case Register.DriverFeatures:
        control.selectFeatures(this.#driverFeaturesSelect, value);
        break;
      case Register.QueueSelect:
        this.#queueSelect = value;
        break;
      case Register.QueueSize: {
        const queue = control.writableQueue(this.#queueSelect, "QueueSize");
        if (queue) queue.size = value;
        break;
      }
      case Register.QueueReady:
        if (value === 1) control.enableQueue(this.#queueSelect);
        break;
      case Register.QueueNotify:
        control.notify(value);
        break;
      case Register.InterruptAck:
        this.#interruptStatus &= ~value;
        this.#line.set(this.#interruptStatus !== 0);
        break;
      case Register.Status:
        control.writeStatus(value & 0xff);
        if (value === 0) {
          this.#interruptStatus = 0;
          this.#line.set(false);
        }
        break;
      default: {
        const word = (offset - Register.QueueAddresses) / 4;
        const name = QUEUE_ADDRESSES[word >> 2];
        if (!(word >= 0) || name === undefined || word % 4 > 1) return;
        const queue = control.writableQueue(this.#queueSelect, "queue address");
        if (queue) setAddressHalf(queue, name, word % 4 === 1 ? 1 : 0, value);
      }
    }
  }

  save(): MmioTransportState {
    return {
      version: 1,
      control: this.control.save(),
      interruptStatus: this.#interruptStatus,
      selectors: [this.#deviceFeaturesSelect, this.#driverFeaturesSelect, this.#queueSelect],
    };
  }

  /** Goes on from a saved state, paused until `control.resume`. @throws QZ_VIRTIO_STATE, QZ_VIRTIO_RING */
  restore(state: MmioTransportState): void {
    const check = checkState("MMIO transport", state, 1);
    check(isWhole(state.interruptStatus, 3), "its interrupts");
    check(areSelectors(state.selectors), "its selectors");
    this.control.restore(state.control);
    this.#interruptStatus = state.interruptStatus;
    [this.#deviceFeaturesSelect, this.#driverFeaturesSelect, this.#queueSelect] = state.selectors;
    this.#line.set(this.#interruptStatus !== 0);
  }

  #interrupt(bit: number): void {
    this.#interruptStatus |= bit;
    this.#line.set(true);
  }
}
