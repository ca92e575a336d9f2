import { createSocket } from "node:dgram";
import { describe, expect, it } from "vitest";
import { waitFor } from "../testing/tiny-guest.ts";
import { nodeSockets } from "./host-sockets.ts";

describe("UDP", () => {
  it("more datagrams at once than the host may hold → the rest is dropped, later ones go out", async () => {
    let received = 0;
    const target = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
    target.on("message", () => received++);
    await new Promise<void>((resolve) => target.bind(0, "127.0.0.1", resolve));
    const to = { address: "127.0.0.1", port: target.address().port };
    const socket = nodeSockets().openUdp(() => {});
    const bytes = new Uint8Array(1024);
    // The host gets no turn meanwhile: all would wait.
    for (let i = 0; i < 2000; i++) socket.send(bytes, to);
    await waitFor(() => received > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(received).toBeLessThanOrEqual(258);
    const before = received;
    socket.send(bytes, to);
    await waitFor(() => received > before);
    socket.close();
    target.close();
  });
});
