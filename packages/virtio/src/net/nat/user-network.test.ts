import { createSocket } from "node:dgram";
import { createHash } from "node:crypto";
import { createServer, connect } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { VirtualClock } from "@queztl/memory";
import { afterEach, describe, expect, it } from "vitest";
import { nodeSockets } from "../../node/host-sockets.ts";
import { pattern, turn } from "../../testing/driver.ts";
import { TinyGuest, ip, waitFor } from "../../testing/tiny-guest.ts";
import type { GuestOptions } from "../../testing/tiny-guest.ts";
import type { Frame, Network } from "../link.ts";
import { UserNetwork } from "./user-network.ts";
import type { UserNetworkOptions } from "./user-network.ts";

const HOST = "10.0.2.2";
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function made(options: Partial<UserNetworkOptions> = {}, guestOptions: GuestOptions = {}) {
  const clock = new VirtualClock();
  const network = await UserNetwork.open({
    clock,
    sockets: nodeSockets(),
    access: { allow: ["127.0.0.1"] },
    ...options,
  });
  cleanups.push(() => network.close());
  return { clock, guest: new TinyGuest(network, guestOptions), network };
}

async function server(handle: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const sockets = new Set<Socket>();
  const listening = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    handle(socket);
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    listening.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (listening.address() as AddressInfo).port, server: listening };
}

const sha = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

describe("ARP and ICMP", () => {
  it("who has the gateway or the name server → the gateway's MAC; anything else → silence", async () => {
    const { guest } = await made();
    for (const address of [HOST, "10.0.2.3", "10.0.2.9"]) guest.ask(address);
    expect(guest.arp.map((frame) => Buffer.from(frame.subarray(22, 32)).toString("hex"))).toEqual([
      "52550a0002020a000202",
      "52550a0002020a000203",
    ]);
  });

  it("echo to the gateway → the reply with the same data; to the world → prohibited", async () => {
    const { guest } = await made();
    guest.ping(HOST, Uint8Array.of(1, 2, 3));
    guest.ping("1.1.1.1", Uint8Array.of(1));
    expect([...(guest.icmp[0] ?? [])].slice(0, 2)).toEqual([0, 0]);
    expect([...(guest.icmp[0] ?? [])].slice(4)).toEqual([0, 7, 0, 1, 1, 2, 3]);
    expect([...(guest.icmp[1] ?? [])].slice(0, 2)).toEqual([3, 13]);
  });
});

describe("DHCP", () => {
  const message = (
    type: number,
    options: number[] = [],
    mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56],
  ) => {
    const bytes = new Uint8Array(300);
    bytes.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
    bytes.set(mac, 28);
    bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...options, 255], 236);
    return bytes;
  };
  const ask = (guest: TinyGuest, bytes: Uint8Array) => {
    guest.sendUdp("255.255.255.255", 67, 68, bytes, 0);
    return guest.udp.pop()?.data;
  };
  const option = (reply: Uint8Array = Uint8Array.of(), wanted: number) => {
    for (let at = 240; at < reply.length && reply[at] !== 255; at += 2 + (reply[at + 1] ?? 0))
      if (reply[at] === wanted) return [...reply.subarray(at + 2, at + 2 + (reply[at + 1] ?? 0))];
    return undefined;
  };

  it("discover, request → offer and lease of .15 with gateway, DNS and MTU", async () => {
    const { guest } = await made({ domain: "qz.internal" });
    const offer = ask(guest, message(1));
    expect([option(offer, 53), offer?.slice(16, 20)]).toEqual([[2], Uint8Array.of(10, 0, 2, 15)]);
    const lease = ask(guest, message(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]));
    expect(option(lease, 53)).toEqual([5]);
    expect([1, 3, 6, 26].map((o) => option(lease, o))).toEqual([
      [255, 255, 255, 0],
      [10, 0, 2, 2],
      [10, 0, 2, 3],
      [5, 220],
    ]);
    expect(Buffer.from(option(lease, 15) ?? []).toString()).toBe("qz.internal");
    expect(lease?.slice(4, 8)).toEqual(Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
  });

  it("another client → another address; the first again → its own", async () => {
    const { guest } = await made();
    ask(guest, message(1));
    const other = ask(guest, message(1, [], [0x52, 0x54, 0, 0, 0, 9]));
    expect(other?.[19]).toBe(16);
    expect(ask(guest, message(1))?.[19]).toBe(15);
  });

  it("a request for an address that is not the client's → NAK", async () => {
    const { guest } = await made();
    expect(option(ask(guest, message(3, [50, 4, 10, 0, 2, 77])), 53)).toEqual([6]);
  });

  it("a request to another server → silence", async () => {
    const { guest } = await made();
    expect(ask(guest, message(3, [50, 4, 10, 0, 2, 15, 54, 4, 9, 9, 9, 9]))).toBeUndefined();
  });
});

describe("TCP, against a real server of the host", () => {
  it("a megabyte each way → the same bytes", async () => {
    const data = pattern(1024 * 1024);
    const { port } = await server((socket) => socket.pipe(socket));
    const { guest, network } = await made();
    const connection = await guest.connect(HOST, port);
    connection.write(data);
    connection.close();
    await waitFor(() => connection.ended);
    expect(sha(connection.data())).toBe(sha(data));
    await waitFor(() => network.flows.tcp === 0);
  });

  it("half-closed by the guest → the server's answer still comes", async () => {
    let got = 0;
    const { port } = await server((socket) => {
      socket.on("data", (bytes) => (got += bytes.length));
      socket.on("end", () => setTimeout(() => socket.end(pattern(100_000)), 5));
    });
    const { guest } = await made();
    const connection = await guest.connect(HOST, port);
    connection.write(pattern(5000));
    connection.close();
    await waitFor(() => connection.ended);
    expect([got, sha(connection.data())]).toEqual([5000, sha(pattern(100_000))]);
  });

  it("half-closed by the server → the guest can still send", async () => {
    const parts: Uint8Array[] = [];
    const { port } = await server((socket) => {
      socket.end("bye");
      socket.on("data", (bytes: Buffer) => parts.push(bytes));
    });
    const { guest, network } = await made();
    const connection = await guest.connect(HOST, port);
    await waitFor(() => connection.ended);
    connection.write(pattern(200_000));
    connection.close();
    await waitFor(() => network.flows.tcp === 0);
    await waitFor(() => parts.reduce((sum, part) => sum + part.length, 0) === 200_000);
    expect(sha(Buffer.concat(parts))).toBe(sha(pattern(200_000)));
  });

  it("reset by the server → reset in the guest", async () => {
    const { port } = await server(
      (socket) => void socket.once("data", () => socket.resetAndDestroy()),
    );
    const { guest, network } = await made();
    const connection = await guest.connect(HOST, port);
    connection.write(Uint8Array.of(1));
    await waitFor(() => connection.state === "reset");
    expect(network.flows.tcp).toBe(0);
  });

  it("reset by the guest → reset at the server", async () => {
    let code: string | undefined;
    const { port } = await server((socket) => {
      socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
      socket.resume();
    });
    const { guest, network } = await made();
    const connection = await guest.connect(HOST, port);
    connection.write(Uint8Array.of(1));
    await turn();
    connection.abort();
    await waitFor(() => code !== undefined);
    expect([code, network.flows.tcp]).toEqual(["ECONNRESET", 0]);
  });

  it("nobody listens → the SYN is answered with a reset, not before the host tried", async () => {
    const { port, server: listening } = await server(() => {});
    await new Promise((resolve) => listening.close(resolve));
    const { guest } = await made();
    expect((await guest.connect(HOST, port)).state).toBe("reset");
  });

  it("a segment of no connection → reset", async () => {
    const { guest } = await made();
    const stray = new Uint8Array(20);
    stray.set([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 77, 0x50, 0x10, 1, 0]);
    guest.ping(HOST, new Uint8Array(4));
    guest.sendTcp(ip("10.0.2.2"), stray);
    const [reset] = guest.resets;
    // RST, with the sequence number that the stray segment acknowledged.
    expect([reset?.[13], [...(reset?.subarray(4, 8) ?? [])]]).toEqual([4, [0, 0, 0, 77]]);
  });

  it("200 connections at once → each has its own bytes", async () => {
    const { port } = await server((socket) => socket.pipe(socket));
    const { guest, network } = await made();
    const connections = await Promise.all(
      Array.from({ length: 200 }, () => guest.connect(HOST, port)),
    );
    connections.forEach((connection, i) => {
      connection.write(pattern(3000, i + 1));
      connection.close();
    });
    await waitFor(() => connections.every((connection) => connection.ended));
    for (const [i, connection] of connections.entries())
      expect(sha(connection.data())).toBe(sha(pattern(3000, i + 1)));
    await waitFor(() => network.flows.tcp === 0);
  });

  it("a server that does not read → the guest's window shuts, and opens when it reads", async () => {
    let held: Socket | undefined;
    const { port } = await server((socket) => {
      held = socket;
      socket.pause();
    });
    const { guest } = await made();
    const connection = await guest.connect(HOST, port);
    connection.write(pattern(24 * 1024 * 1024));
    await waitFor(() => connection.window === 0 || connection.window < 1400);
    let got = 0;
    held?.on("data", (bytes) => (got += bytes.length));
    held?.resume();
    await waitFor(() => got === 24 * 1024 * 1024, 20_000);
    expect(connection.quiet).toBe(true);
  }, 30_000);

  it("a guest that does not read → the server is held back, then everything comes", async () => {
    let written = 0;
    const total = 8 * 1024 * 1024;
    const { port } = await server((socket) => {
      const more = () => {
        while (written < total) {
          written += 65536;
          if (!socket.write(pattern(65536, written))) return;
        }
        socket.end();
      };
      socket.on("drain", more);
      more();
    });
    const { clock, guest } = await made({}, { window: 1024 * 1024, windowScale: 5 });
    const connection = await guest.connect(HOST, port);
    connection.reading = false;
    await waitFor(() => connection.unread > 1024 * 1024 - 65536);
    for (let i = 0; i < 50; i++) await turn();
    expect(connection.receivedBytes).toBeLessThanOrEqual(1024 * 1024);
    connection.drain();
    for (let i = 0; !connection.ended && i < 2000; i++) {
      clock.advanceTo(clock.nowNs() + 10e6);
      await turn();
    }
    await waitFor(() => connection.ended);
    expect(connection.receivedBytes).toBe(total);
  }, 20_000);

  it("frames are lost on the way to the guest → sent again until all is there", async () => {
    const data = pattern(300_000);
    const { port } = await server((socket) => socket.end(data));
    let count = 0;
    const lose = (frame: Uint8Array) => frame[12] === 8 && frame[13] === 0 && ++count % 7 === 0;
    const { clock, guest } = await made({}, { lose });
    const connecting = guest.connect(HOST, port);
    const ticking = setInterval(() => clock.advanceTo(clock.nowNs() + 100e6), 2);
    cleanups.push(() => clearInterval(ticking));
    const connection = await connecting;
    await waitFor(() => connection.ended);
    expect(sha(connection.data())).toBe(sha(data));
  });

  it("a guest that takes two seconds to answer → a segment is sent again now and then, not the whole window", async () => {
    const data = pattern(500_000);
    const { port } = await server((socket) => socket.end(data));
    const { clock, network } = await made();
    const waiting: Frame[] = [];
    let slow = false;
    // Between the network and the guest: what comes while the guest is busy waits.
    let take: (frame: Frame) => void = () => {};
    const between: Network = {
      attach: (nic) => {
        take = (frame) => nic.deliver(frame);
        const deliver = (frame: Frame): void => (slow ? void waiting.push(frame) : take(frame));
        return network.attach({ deliver, hasRoom: () => true });
      },
    };
    const guest = new TinyGuest(between, { window: 256 * 1024, windowScale: 5 });
    const connecting = guest.connect(HOST, port);
    await waitFor(() => network.flows.tcp === 1);
    const connection = await connecting;
    slow = true;
    await waitFor(() => waiting.length > 2);
    for (let i = 0; i < 20; i++) {
      clock.advanceTo(clock.nowNs() + 100e6);
      await turn();
    }
    const sent = waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(sent).toBeLessThan(300 * 1024);
    slow = false;
    for (const frame of waiting) take(frame);
    await waitFor(() => connection.ended);
    expect(sha(connection.data())).toBe(sha(data));
  });

  it("a guest that vanishes → the connection is given up in bounded guest time", async () => {
    const { port } = await server((socket) => socket.write(pattern(1000)));
    let gone = false;
    const { clock, guest, network } = await made({}, { lose: () => gone });
    await guest.connect(HOST, port);
    gone = true;
    const again = guest.connections.values().next().value;
    again?.write(Uint8Array.of(1));
    await waitFor(() => network.flows.tcp === 1);
    for (let i = 0; i < 200; i++) {
      clock.advanceTo(clock.nowNs() + 1e9);
      await turn();
    }
    expect(network.flows.tcp).toBe(0);
  });

  it("the driver goes away → its connections are reset at the server", async () => {
    let code: string | undefined;
    const { port } = await server((socket) => {
      socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
      socket.resume();
    });
    const { guest, network } = await made();
    await guest.connect(HOST, port);
    guest.end.reset();
    expect(network.flows).toEqual({ tcp: 0, udp: 0 });
    await waitFor(() => code !== undefined);
    expect(code).toBe("ECONNRESET");
  });

  it("a guest restored without its connections → each is reset, also one that missed the last bytes", async () => {
    const { port } = await server((socket) => void socket.write("hello"));
    let losing = false;
    const { guest, network } = await made({}, { lose: () => losing });
    const first = await guest.connect(HOST, port);
    const second = await guest.connect(HOST, port);
    await waitFor(() => first.receivedBytes === 5 && second.receivedBytes === 5);
    const saved = structuredClone(guest.end.connections?.() ?? []);
    expect(saved).toHaveLength(2);
    losing = true;
    network.close();
    losing = false;
    const behind = saved.map((each, i) => ({ ...each, sequence: (each.sequence + 7 * i) >>> 0 }));
    guest.end.lost?.(behind);
    expect([first.state, second.state]).toEqual(["reset", "reset"]);
    expect(network.flows.tcp).toBe(0);
  });

  it("more connections than allowed → the next is refused", async () => {
    const { port } = await server(() => {});
    const { guest } = await made({ maxConnections: 2 });
    const states: string[] = [];
    for (let i = 0; i < 3; i++) states.push((await guest.connect(HOST, port)).state);
    expect(states).toEqual(["open", "open", "reset"]);
  });
});

describe("who may be reached", () => {
  it.each([
    "10.1.2.3",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "240.0.0.1",
    HOST,
  ])("%s by default → refused", async (address) => {
    const { guest, network } = await made({ access: {} });
    expect((await guest.connect(address, 80)).state).toBe("reset");
    guest.sendUdp(address, 53, 5000, Uint8Array.of(1));
    expect(guest.icmp.at(-1)?.[1]).toBe(13);
    expect(network.counters.refused).toBe(2);
  });

  it("allowed for a port → only that port", async () => {
    const { port } = await server((socket) => socket.end("hi"));
    const { guest } = await made({ access: { allow: [`127.0.0.1:${port}`] } });
    expect((await guest.connect(HOST, port)).state).toBe("open");
    expect((await guest.connect(HOST, port + 1 > 65535 ? 1 : port + 1)).state).toBe("reset");
  });

  it("denied and allowed → denied", async () => {
    const { port } = await server((socket) => socket.end("hi"));
    const { guest } = await made({ access: { allow: ["127.0.0.0/8"], deny: ["127.0.0.1"] } });
    expect((await guest.connect(HOST, port)).state).toBe("reset");
  });

  it.each(["10.0.0.0/33", "1.2.3", "1.2.3.4:", "1.2.3.4:9-1", "1.2.3.4:70000", "::1"])(
    "the rule %s → QZ_VIRTIO_OPTIONS",
    async (rule) => {
      await expect(made({ access: { allow: [rule] } })).rejects.toMatchObject({
        code: "QZ_VIRTIO_OPTIONS",
      });
    },
  );
});

describe("UDP", () => {
  async function echo(): Promise<number> {
    const socket = createSocket("udp4");
    socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    cleanups.push(() => socket.close());
    return socket.address().port;
  }

  it("a datagram and its answer → translated both ways, large ones in fragments", async () => {
    const port = await echo();
    const { guest, network } = await made();
    guest.sendUdp(HOST, port, 7777, Uint8Array.of(1, 2, 3));
    await waitFor(() => guest.udp.length === 1);
    expect(guest.udp[0]).toEqual({
      from: ip(HOST),
      fromPort: port,
      toPort: 7777,
      data: Uint8Array.of(1, 2, 3),
    });
    expect(network.flows.udp).toBe(1);
  });

  it("silence for three minutes of guest time → the socket is closed", async () => {
    const port = await echo();
    const { clock, guest, network } = await made();
    guest.sendUdp(HOST, port, 7777, Uint8Array.of(1));
    await waitFor(() => guest.udp.length === 1);
    clock.advanceTo(170e9);
    expect(network.flows.udp).toBe(1);
    clock.advanceTo(400e9);
    expect(network.flows.udp).toBe(0);
  });

  it("a flood of ports → at most 512 sockets", async () => {
    const { guest, network } = await made();
    for (let i = 0; i < 700; i++) guest.sendUdp(HOST, 9, 1000 + i, Uint8Array.of(1));
    expect(network.flows.udp).toBe(512);
  });
});

describe("port forwards", () => {
  it("TCP → a client of the host reaches the guest's server; bytes both ways, half-close", async () => {
    const { guest, network } = await made({
      forwards: [{ protocol: "tcp", hostPort: 0, guestPort: 8080 }],
    });
    guest.listeners.set(8080, (connection) => {
      const check = setInterval(() => {
        if (!connection.ended) return;
        clearInterval(check);
        connection.write(connection.data());
        connection.close();
      }, 1);
    });
    const client = connect({ port: network.forwards[0]?.endpoint.port ?? 0, allowHalfOpen: true });
    const parts: Buffer[] = [];
    client.on("data", (bytes: Buffer) => parts.push(bytes));
    const data = pattern(50_000);
    client.end(data);
    await new Promise((resolve) => client.once("end", resolve));
    expect(sha(Buffer.concat(parts))).toBe(sha(data));
  });

  it("TCP to a guest where nobody listens → the client is reset", async () => {
    const { guest, network } = await made({
      forwards: [{ protocol: "tcp", hostPort: 0, guestPort: 8080 }],
    });
    guest.ping(HOST, new Uint8Array(1));
    const client = connect(network.forwards[0]?.endpoint.port ?? 0);
    const error = await new Promise<NodeJS.ErrnoException>((resolve) =>
      client.once("error", resolve),
    );
    expect(error.code).toBe("ECONNRESET");
  });

  it("UDP → the guest answers the client it heard from", async () => {
    const { guest, network } = await made({
      forwards: [{ protocol: "udp", hostPort: 0, guestPort: 5353 }],
    });
    guest.ping(HOST, new Uint8Array(1));
    const client = createSocket("udp4");
    cleanups.push(() => client.close());
    client.send("ask", network.forwards[0]?.endpoint.port ?? 0, "127.0.0.1");
    await waitFor(() => guest.udp.length === 1);
    const asked = guest.udp[0];
    guest.sendUdp(HOST, asked?.fromPort ?? 0, 5353, Buffer.from("told"));
    const told = await new Promise((resolve) => client.once("message", (m) => resolve(String(m))));
    expect(told).toBe("told");
  });

  it("a port that is taken → QZ_VIRTIO_NET_LISTEN", async () => {
    const { port } = await server(() => {});
    await expect(
      made({ forwards: [{ protocol: "tcp", hostPort: port, guestPort: 80 }] }),
    ).rejects.toMatchObject({ code: "QZ_VIRTIO_NET_LISTEN" });
  });
});
