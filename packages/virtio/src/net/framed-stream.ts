import { virtioError } from "../errors.ts";
import { MAX_FRAME, MIN_FRAME } from "./link.ts";
import type { Frame, Network, NetworkEnd, NicEnd } from "./link.ts";
import { NO_OFFLOADS, forReceiver } from "./offload.ts";

/** A reliable stream of bytes to another process. */
export interface ByteStream {
  /** Sends bytes; false when the stream has enough for now, until `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /** Sets who takes what comes. */
  listen(events: {
    readonly data: (bytes: Uint8Array) => void;
    readonly drain: () => void;
    readonly close: () => void;
  }): void;
  close(): void;
}

const PREFIX = 4;

/**
 * A network behind a stream of frames, each after its length in four bytes, big-endian: what QEMU's stream
 * sockets and passt speak. Frames go out plain: cut to the MTU and with checksums.
 */
export class FramedStreamNetwork implements Network {
  readonly counters = { sentFrames: 0, receivedFrames: 0, droppedFrames: 0 };
  readonly #stream: ByteStream;
  readonly #onError: (error: unknown) => void;
  #nic: NicEnd | undefined;
  #flowing = true;
  #open = true;
  #partial = new Uint8Array(0);

  /**
   * @param onError told when the other side breaks the framing, which closes the stream.
   * @param onClose told when the stream is over.
   */
  constructor(
    stream: ByteStream,
    onError: (error: unknown) => void = () => {},
    onClose: () => void = () => {},
  ) {
    this.#stream = stream;
    this.#onError = onError;
    stream.listen({
      data: (bytes) => this.#take(bytes),
      drain: () => {
        this.#flowing = true;
      },
      close: () => {
        this.#open = false;
        onClose();
      },
    });
  }

  /** Plugs the one NIC in that the stream serves; join several with a `Switch`. */
  attach(nic: NicEnd): NetworkEnd {
    this.#nic = nic;
    return {
      transmit: (frame) => this.#send(frame),
      roomAvailable: () => {},
      reset: () => {},
      detach: () => {
        this.#nic = undefined;
        this.#open = false;
        this.#stream.close();
      },
    };
  }

  #send(frame: Frame): void {
    for (const { bytes } of forReceiver(frame, NO_OFFLOADS)) {
      // As on a wire that is busy: the guests' transport protocols notice and send again.
      if (!this.#open || !this.#flowing) {
        this.counters.droppedFrames++;
        continue;
      }
      const framed = new Uint8Array(PREFIX + bytes.length);
      new DataView(framed.buffer).setUint32(0, bytes.length);
      framed.set(bytes, PREFIX);
      this.counters.sentFrames++;
      this.#flowing = this.#stream.write(framed);
    }
  }

  #take(bytes: Uint8Array): void {
    if (!this.#open) return;
    let rest = bytes;
    if (this.#partial.length > 0) {
      rest = new Uint8Array(this.#partial.length + bytes.length);
      rest.set(this.#partial);
      rest.set(bytes, this.#partial.length);
    }
    let at = 0;
    while (rest.length - at >= PREFIX) {
      const length = new DataView(rest.buffer, rest.byteOffset + at).getUint32(0);
      if (length < MIN_FRAME || length > MAX_FRAME) {
        this.#open = false;
        this.#partial = new Uint8Array(0);
        this.#stream.close();
        this.#onError(virtioError("QZ_VIRTIO_NET_FRAME", { length, most: MAX_FRAME }));
        return;
      }
      if (rest.length - at < PREFIX + length) break;
      this.counters.receivedFrames++;
      const frame = rest.subarray(at + PREFIX, at + PREFIX + length);
      this.#nic?.deliver({ bytes: new Uint8Array(frame) });
      at += PREFIX + length;
    }
    this.#partial = new Uint8Array(rest.subarray(at));
  }
}
