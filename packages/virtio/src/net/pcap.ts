import type { Clock } from "@queztl/memory";
import type { Frame, Network } from "./link.ts";
import { NO_OFFLOADS, forReceiver } from "./offload.ts";

const MAGIC = 0xa1b2_3c4d; // microseconds would be …c3d4; this says nanoseconds
const ETHERNET = 1;

/** Where and how much to capture. */
export interface CaptureOptions {
  readonly clock: Clock;
  /** Takes the file piece by piece, its header first. */
  readonly write: (bytes: Uint8Array) => void;
  /** Bytes kept of each frame; default 65535. */
  readonly snapLength?: number;
  /** The file ends at this size; default 64 MiB. */
  readonly maxBytes?: number;
}

/**
 * A network that records what passes between a NIC and another network as a pcap file with nanosecond
 * times (draft-ietf-opsawg-pcap). Frames are recorded as they would be on a wire: cut and with checksums.
 */
export function captured(network: Network, options: CaptureOptions): Network {
  const { clock, write, snapLength = 65535, maxBytes = 64 * 1024 * 1024 } = options;
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, MAGIC, true);
  header.setUint16(4, 2, true);
  header.setUint16(6, 4, true);
  header.setUint32(16, snapLength, true);
  header.setUint32(20, ETHERNET, true);
  write(new Uint8Array(header.buffer));
  let written = 24;
  const record = (frame: Frame): void => {
    if (written >= maxBytes) return;
    for (const { bytes } of forReceiver(frame, NO_OFFLOADS)) {
      const kept = Math.min(bytes.length, snapLength);
      if (written + 16 + kept > maxBytes) {
        written = maxBytes;
        return;
      }
      const piece = new Uint8Array(16 + kept);
      const view = new DataView(piece.buffer);
      const ms = clock.epochMs();
      view.setUint32(0, Math.floor(ms / 1000), true);
      view.setUint32(4, Math.floor((ms % 1000) * 1e6), true);
      view.setUint32(8, kept, true);
      view.setUint32(12, bytes.length, true);
      piece.set(bytes.subarray(0, kept), 16);
      write(piece);
      written += piece.length;
    }
  };
  return {
    attach(nic) {
      const end = network.attach({
        deliver: (frame) => {
          record(frame);
          nic.deliver(frame);
        },
        hasRoom: (mac) => nic.hasRoom(mac),
      });
      return {
        transmit: (frame) => {
          record(frame);
          end.transmit(frame);
        },
        roomAvailable: () => end.roomAvailable(),
        reset: () => end.reset(),
        detach: () => end.detach(),
        connections: () => end.connections?.() ?? [],
        lost: (connections) => end.lost?.(connections),
      };
    },
  };
}
