import { ConfigSpace } from "../device.ts";

/** Feature bits of the console (virtio 1.2, 5.3.3). */
export const ConsoleFeature = {
  Size: 1n << 0n,
  MultiPort: 1n << 1n,
  EmergencyWrite: 1n << 2n,
} as const;

/** Control messages (virtio 1.2, 5.3.6.2). */
export const ControlEvent = {
  DeviceReady: 0,
  PortAdd: 1,
  PortRemove: 2,
  PortReady: 3,
  ConsolePort: 4,
  Resize: 5,
  PortOpen: 6,
  PortName: 7,
} as const;

/** Bytes of a control message without what follows it: port, event, value. */
export const CONTROL_BYTES = 8;

/** A terminal's size, in characters. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const Offset = { Columns: 0, Rows: 2, MaxPorts: 4, EmergencyWrite: 8 } as const;

/** The console's configuration (virtio 1.2, 5.3.4). */
export class ConsoleConfig extends ConfigSpace {
  constructor(ports: number, onEmergencyWrite: (byte: number) => void) {
    super(12, (offset, bytes) => {
      if (offset === Offset.EmergencyWrite) onEmergencyWrite(bytes[0] ?? 0);
    });
    this.view.setUint32(Offset.MaxPorts, ports, true);
  }

  get size(): TerminalSize {
    return {
      columns: this.view.getUint16(Offset.Columns, true),
      rows: this.view.getUint16(Offset.Rows, true),
    };
  }

  set size({ columns, rows }: TerminalSize) {
    this.view.setUint16(Offset.Columns, columns, true);
    this.view.setUint16(Offset.Rows, rows, true);
  }
}
