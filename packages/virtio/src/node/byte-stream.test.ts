import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FramedStreamNetwork } from "../net/framed-stream.ts";
import type { Frame } from "../net/link.ts";
import { Switch } from "../net/switch.ts";
import { waitFor } from "../testing/tiny-guest.ts";
import { connectStream, listenStreams } from "./byte-stream.ts";

describe("connectStream", () => {
  it("a peer that sends frames back → they are delivered", async () => {
    const server = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const network = new FramedStreamNetwork(await connectStream({ host: "127.0.0.1", port }));
    const delivered: Uint8Array[] = [];
    const end = network.attach({
      deliver: ({ bytes }) => void delivered.push(bytes),
      hasRoom: () => true,
    });
    const bytes = new Uint8Array(100).fill(7);
    end.transmit({ bytes });
    await waitFor(() => delivered.length === 1);
    expect(delivered[0]).toEqual(bytes);
    end.detach();
    server.close();
  });

  it("nothing there → QZ_VIRTIO_CLOSED", async () => {
    await expect(connectStream({ path: "/nonexistent/socket" })).rejects.toMatchObject({
      code: "QZ_VIRTIO_CLOSED",
    });
  });
});

describe("listenStreams", () => {
  it("two processes' ends of a switch → frames pass, and an end that goes is forgotten", async () => {
    const folder = mkdtempSync(join(tmpdir(), "queztl-stream-"));
    const path = join(folder, "switch");
    const lan = new Switch();
    const seen: Uint8Array[] = [];
    const nic = { deliver: ({ bytes }: Frame) => void seen.push(bytes), hasRoom: () => true };
    const local = lan.attach(nic);
    let left = 0;
    const stop = await listenStreams(path, (stream) => {
      const leave = lan.uplink(
        new FramedStreamNetwork(stream, undefined, () => {
          leave();
          left++;
        }),
      );
    });
    await expect(listenStreams(path, () => {})).rejects.toMatchObject({
      code: "QZ_VIRTIO_NET_LISTEN",
    });
    const remote = new FramedStreamNetwork(await connectStream({ path }));
    const got: Uint8Array[] = [];
    const end = remote.attach({
      deliver: ({ bytes }) => void got.push(bytes),
      hasRoom: () => true,
    });
    end.transmit({ bytes: frame(1, 2) });
    await waitFor(() => seen.length === 1);
    local.transmit({ bytes: frame(2, 1) });
    await waitFor(() => got.length === 1);
    expect([seen[0], got[0]]).toEqual([frame(1, 2), frame(2, 1)]);
    end.detach();
    await waitFor(() => left === 1);
    stop();
    rmSync(folder, { recursive: true });
  });
});

/** A frame between two stations of that number. */
function frame(from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from]);
  return bytes;
}
