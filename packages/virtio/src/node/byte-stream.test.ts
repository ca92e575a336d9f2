import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { FramedStreamNetwork } from "../net/framed-stream.ts";
import { waitFor } from "../testing/tiny-guest.ts";
import { connectStream } from "./byte-stream.ts";

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
