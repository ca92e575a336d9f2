import { ConfigSpace } from "../device.ts";

/** Feature bits of the socket device (virtio 1.2, 5.10.3). */
export const VsockFeature = { Stream: 1n << 0n } as const;

/** The address of the host (virtio 1.2, 5.10.4). */
export const HOST_CID = 2;

/** Operations of packets (virtio 1.2, 5.10.6). */
export const Operation = {
  Request: 1,
  Response: 2,
  Reset: 3,
  Shutdown: 4,
  Data: 5,
  CreditUpdate: 6,
  CreditRequest: 7,
} as const;

export const ShutdownFlag = { Receive: 1, Send: 2, Both: 3 } as const;
export const STREAM = 1;
export const PACKET_HEADER_BYTES = 44;
export const EVENT_TRANSPORT_RESET = 0;

/** The header of a packet. */
export interface PacketHeader {
  readonly sourceCid: number;
  readonly targetCid: number;
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly length: number;
  readonly type: number;
  readonly operation: number;
  readonly flags: number;
  readonly bufferBytes: number;
  readonly forwarded: number;
}

/** Reads a header; CIDs beyond 2^53 lose their low bits, which no valid one has. */
export function parsePacketHeader(bytes: Uint8Array): PacketHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    sourceCid: Number(view.getBigUint64(0, true)),
    targetCid: Number(view.getBigUint64(8, true)),
    sourcePort: view.getUint32(16, true),
    targetPort: view.getUint32(20, true),
    length: view.getUint32(24, true),
    type: view.getUint16(28, true),
    operation: view.getUint16(30, true),
    flags: view.getUint32(32, true),
    bufferBytes: view.getUint32(36, true),
    forwarded: view.getUint32(40, true),
  };
}

export function formatPacketHeader(header: PacketHeader): Uint8Array {
  const bytes = new Uint8Array(PACKET_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(header.sourceCid), true);
  view.setBigUint64(8, BigInt(header.targetCid), true);
  view.setUint32(16, header.sourcePort, true);
  view.setUint32(20, header.targetPort, true);
  view.setUint32(24, header.length, true);
  view.setUint16(28, header.type, true);
  view.setUint16(30, header.operation, true);
  view.setUint32(32, header.flags, true);
  view.setUint32(36, header.bufferBytes, true);
  view.setUint32(40, header.forwarded, true);
  return bytes;
}

/** The socket device's configuration: the guest's address (virtio 1.2, 5.10.4). */
export class VsockConfig extends ConfigSpace {
  constructor(cid: number) {
    super(8);
    this.cid = cid;
  }

  get cid(): number {
    return Number(this.view.getBigUint64(0, true));
  }

  set cid(cid: number) {
    this.view.setBigUint64(0, BigInt(cid), true);
  }
}
