import { VirtualClock } from "@queztl/memory";
import type { Frame, Network, NicEnd } from "@queztl/virtio";
import { expect, test } from "vitest";
import { ratedNetwork } from "./rated-network.ts";

/** A network that counts what reaches it, and a card on it behind a rate. */
function link(bytesPerSecond: number) {
  const clock = new VirtualClock();
  let sent = 0;
  let room = 0;
  let nic: NicEnd | undefined;
  const network: Network = {
    attach(end) {
      nic = end;
      return {
        transmit: ({ bytes }) => void (sent += bytes.length),
        roomAvailable: () => void room++,
        reset: () => undefined,
        detach: () => undefined,
      };
    },
  };
  let received = 0;
  const end = ratedNetwork(network, bytesPerSecond, clock).attach({
    deliver: ({ bytes }) => void (received += bytes.length),
    hasRoom: () => true,
  });
  return { clock, end, nic: nic as unknown as NicEnd, counts: () => ({ sent, received, room }) };
}

const frame: Frame = { bytes: new Uint8Array(1000) };

test("a guest that sends as fast as it can → the rate, and no more than half a MiB waits", () => {
  const { clock, end, counts } = link(100_000);
  for (let ms = 0; ms < 10_000; ms += 10) {
    for (let i = 0; i < 50; i++) end.transmit(frame);
    clock.advanceTo((ms + 10) * 1e6);
  }
  expect(counts().sent).toBeGreaterThan(990_000);
  expect(counts().sent).toBeLessThan(1_020_000);
  end.detach();
  const { sent } = counts();
  clock.advanceTo(100e9);
  expect(counts().sent).toBe(sent);
});

test("a network that asks for room → gets it at the rate, and is told when", () => {
  const { clock, nic, counts } = link(100_000);
  let asked = 0;
  for (let ms = 0; ms < 10_000; ms++) {
    while (nic.hasRoom(0) && asked++ < 1e6) nic.deliver(frame);
    clock.advanceTo((ms + 1) * 1e6);
  }
  expect(counts().received).toBeGreaterThan(990_000);
  expect(counts().received).toBeLessThan(1_020_000);
  expect(counts().room).toBeGreaterThan(100);
});

test("less than the rate → nothing waits and nothing is lost", () => {
  const { clock, end, counts } = link(100_000);
  for (let i = 1; i <= 50; i++) {
    end.transmit(frame);
    expect(counts().sent).toBe(i * 1000);
    clock.advanceTo(i * 20e6);
  }
});
