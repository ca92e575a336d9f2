/** Work on a frame that its sender left to whoever needs it done (virtio 1.2, 5.1.6.2). */
export interface Offload {
  /**
   * The 16-bit checksum from `start` to the frame's end is still to be stored at `start + offset`; the field holds
   * the pseudo-header's sum.
   */
  readonly checksum: { readonly start: number; readonly offset: number };
  /** The frame is one large TCP segment, to be cut into payloads of `payloadBytes`. */
  readonly segment?: { readonly ip: 4 | 6; readonly payloadBytes: number };
}

/** An Ethernet frame without its check sequence. Its bytes are never changed once it was sent. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly offload?: Offload;
}

/** The NIC's side of a link, as a network sees it. */
export interface NicEnd {
  /** Gives the guest a frame; it is dropped when the guest does not take frames and its queue is full. */
  deliver(frame: Frame): void;
  /** Whether a frame for that MAC address (48 bits as a number) would not be dropped now. */
  hasRoom(mac: number): boolean;
}

/** A connection of a guest that ended with the network it went through: what it takes to reset it there. */
export interface LostConnection {
  readonly mac: number;
  readonly guest: number;
  readonly guestPort: number;
  readonly remote: number;
  readonly remotePort: number;
  /** The sequence number that the guest expects next. */
  readonly sequence: number;
}

/** The network's side of a link, as a NIC sees it. */
export interface NetworkEnd {
  /** The guest sends a frame. */
  transmit(frame: Frame): void;
  /** There is room again after `hasRoom` said no. */
  roomAvailable(): void;
  /** The guest's driver went away: what was going on with it is over. */
  reset(): void;
  /** The NIC is unplugged. */
  detach(): void;
  /** The guest's connections that a copy of it, restored elsewhere, will have lost. */
  connections?(): readonly LostConnection[];
  /** The guest goes on from a saved state: tells it at once that these connections are gone. */
  lost?(connections: readonly LostConnection[]): void;
}

/** Something NICs plug into: the user-mode NAT, a switch, a stream to another process. */
export interface Network {
  attach(nic: NicEnd): NetworkEnd;
}

/** The shortest and longest frames, in bytes: an Ethernet header, and one with the longest IP packet and a VLAN tag. */
export const MIN_FRAME = 14;
export const MAX_FRAME = 65535 + 18;

/** The 48-bit MAC address at `at`, as a number. */
export function macAt(bytes: Uint8Array, at: number): number {
  let mac = 0;
  for (let i = 0; i < 6; i++) mac = mac * 256 + (bytes[at + i] ?? 0);
  return mac;
}

export function putMac(bytes: Uint8Array, at: number, mac: number): void {
  for (let i = 5; i >= 0; i--) {
    bytes[at + i] = mac % 256;
    mac = Math.floor(mac / 256);
  }
}

/** Whether a MAC address stands for a group: multicast or broadcast. */
export function isGroup(mac: number): boolean {
  return Math.floor(mac / 2 ** 40) % 2 === 1;
}

export const BROADCAST = 0xffff_ffff_ffff;
