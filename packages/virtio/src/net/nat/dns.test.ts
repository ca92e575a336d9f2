import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { DnsForwarder } from "./dns.ts";
import type { Endpoint, HostSockets } from "./host-sockets.ts";

const QUERY = Uint8Array.from([
  0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 0x71, 0x7a, 0, 0, 1, 0, 1, 0, 0, 41, 5, 0, 0, 0, 0,
  0, 0, 0,
]);

function made(servers: string[]) {
  const sent: { bytes: Uint8Array; to: Endpoint }[] = [];
  let open = 0;
  let receive: (bytes: Uint8Array, from: Endpoint) => void = () => {};
  const sockets: HostSockets = {
    connectTcp: () => {
      throw new Error("not used");
    },
    listenTcp: () => Promise.reject(new Error("not used")),
    listenUdp: () => Promise.reject(new Error("not used")),
    openUdp: (received) => {
      open++;
      receive = received;
      return { send: (bytes, to) => void sent.push({ bytes, to }), close: () => void open-- };
    },
    nameServers: () => servers,
  };
  const clock = new VirtualClock();
  const answers: Uint8Array[] = [];
  const forwarder = new DnsForwarder(sockets, clock);
  return {
    answers,
    ask: (query = QUERY) => forwarder.ask(query, (answer) => answers.push(answer)),
    clock,
    forwarder,
    openSockets: () => open,
    receive: (bytes: Uint8Array, from: Endpoint) => receive(bytes, from),
    sent,
  };
}

const from = (address: string) => ({ address, port: 53 });

describe("DnsForwarder", () => {
  it("a query → asked as it is; the answer goes back, the socket is closed", () => {
    const dns = made(["9.9.9.9"]);
    dns.ask();
    expect(dns.sent).toEqual([{ bytes: QUERY, to: from("9.9.9.9") }]);
    const answer = Uint8Array.of(0x12, 0x34, 0x81, 0x80);
    dns.receive(answer, from("9.9.9.9"));
    expect([dns.answers, dns.openSockets()]).toEqual([[answer], 0]);
  });

  it("an answer of another host, or with another id → not taken", () => {
    const dns = made(["9.9.9.9"]);
    dns.ask();
    dns.receive(Uint8Array.of(0x12, 0x34), from("6.6.6.6"));
    dns.receive(Uint8Array.of(0x12, 0x35), from("9.9.9.9"));
    dns.receive(Uint8Array.of(0x12, 0x34), { address: "9.9.9.9", port: 54 });
    expect(dns.answers).toEqual([]);
  });

  it("a silent server → the next one after 2 s, then SERVFAIL with the question", () => {
    const dns = made(["1.1.1.1", "9.9.9.9"]);
    dns.ask();
    dns.clock.advanceTo(2e9);
    expect(dns.sent.map(({ to }) => to.address)).toEqual(["1.1.1.1", "9.9.9.9"]);
    dns.clock.advanceTo(4e9);
    const [answer] = dns.answers;
    expect([...(answer ?? [])]).toEqual([
      0x12, 0x34, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0x71, 0x7a, 0, 0, 1, 0, 1,
    ]);
    expect(dns.openSockets()).toBe(0);
  });

  it("no server at all → SERVFAIL at once", () => {
    const dns = made([]);
    dns.ask();
    expect(dns.answers[0]?.[3]).toBe(0x82);
  });

  it("an answer, or less than a header → not forwarded", () => {
    const dns = made(["9.9.9.9"]);
    dns.ask(Uint8Array.of(0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    dns.ask(new Uint8Array(11));
    expect(dns.sent).toEqual([]);
  });

  it("a flood of queries → 128 at once", () => {
    const dns = made(["9.9.9.9"]);
    for (let i = 0; i < 500; i++) dns.ask();
    expect(dns.openSockets()).toBe(128);
    dns.forwarder.close();
    expect(dns.openSockets()).toBe(0);
  });
});
