import { ConfigSpace } from "../device.ts";
import { putMac } from "./link.ts";

/** Feature bits of the network device (virtio 1.2, 5.1.3). */
export const NetFeature = {
  Checksum: 1n << 0n,
  GuestChecksum: 1n << 1n,
  ControlGuestOffloads: 1n << 2n,
  Mtu: 1n << 3n,
  Mac: 1n << 5n,
  GuestTso4: 1n << 7n,
  GuestTso6: 1n << 8n,
  HostTso4: 1n << 11n,
  HostTso6: 1n << 12n,
  MergeableBuffers: 1n << 15n,
  Status: 1n << 16n,
  ControlQueue: 1n << 17n,
  ControlRx: 1n << 18n,
  ControlMac: 1n << 23n,
} as const;

/** What a feature needs another for (virtio 1.2, 5.1.3.1). */
export const NET_FEATURE_NEEDS: readonly (readonly [bigint, bigint])[] = [
  [NetFeature.GuestTso4, NetFeature.GuestChecksum],
  [NetFeature.GuestTso6, NetFeature.GuestChecksum],
  [NetFeature.HostTso4, NetFeature.Checksum],
  [NetFeature.HostTso6, NetFeature.Checksum],
  [NetFeature.ControlRx, NetFeature.ControlQueue],
  [NetFeature.ControlMac, NetFeature.ControlQueue],
  [NetFeature.ControlGuestOffloads, NetFeature.ControlQueue],
];

/** Bytes of the header before each frame (virtio 1.2, 5.1.6), and its flags and segmentation types. */
export const NET_HEADER_BYTES = 12;
export const HeaderFlag = { NeedsChecksum: 1 } as const;
export const SegmentationType = { None: 0, Tcp4: 1, Tcp6: 4, Ecn: 0x80 } as const;

/** Classes and commands of the control queue (virtio 1.2, 5.1.6.5). */
export const ControlClass = { Rx: 0, Mac: 1, GuestOffloads: 5 } as const;
export const RxCommand = { Promiscuous: 0, AllMulticast: 1 } as const;
export const MacCommand = { TableSet: 0, AddressSet: 1 } as const;
export const GUEST_OFFLOADS_SET = 0;
export const ControlResult = { Ok: 0, Error: 1 } as const;

const LINK_UP = 1;
const Offset = { Mac: 0, Status: 6, Mtu: 10 } as const;

/** The network device's configuration (virtio 1.2, 5.1.4). */
export class NetConfig extends ConfigSpace {
  constructor(options: { mac: number; mtu: number }) {
    super(12);
    putMac(this.bytes, Offset.Mac, options.mac);
    this.view.setUint16(Offset.Status, LINK_UP, true);
    this.view.setUint16(Offset.Mtu, options.mtu, true);
  }

  get mac(): Uint8Array {
    return this.bytes.subarray(0, 6);
  }

  get linkUp(): boolean {
    return (this.view.getUint16(Offset.Status, true) & LINK_UP) !== 0;
  }

  set linkUp(up: boolean) {
    this.view.setUint16(Offset.Status, up ? LINK_UP : 0, true);
  }
}
