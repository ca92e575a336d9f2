import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { UserNetwork } from "../../src/index.ts";
import { turn } from "../../src/testing/driver.ts";
import { TinyGuest } from "../../src/testing/tiny-guest.ts";
import { FUZZ_TIMEOUT, fuzz, randomSockets } from "./harness.ts";
import type { Dice } from "./harness.ts";

/** A TCP segment's body of some connection of a few, in or out of order. */
function segment(dice: Dice): Uint8Array {
  const options = dice.chance(4) ? dice.bytes(4 * dice.below(10)) : new Uint8Array(0);
  const body = new Uint8Array(20 + options.length + dice.pick([0, 0, 1, 1000]));
  const view = new DataView(body.buffer);
  view.setUint16(0, 1000 + dice.below(4));
  view.setUint16(2, 80);
  view.setUint32(4, dice.pick([0, 1, 2, 1001, dice.nasty()]));
  view.setUint32(8, dice.nasty());
  body[12] = ((dice.chance(9) ? dice.below(16) : 5 + options.length / 4) << 4) & 0xff;
  body[13] = dice.pick([2, 2, 16, 17, 24, 4, 18, dice.below(256)]);
  view.setUint16(14, dice.nasty() & 0xffff);
  body.set(options, 20);
  return body;
}

describe("random frames of a guest", () => {
  it(
    "ARP, DHCP, DNS, UDP, ICMP and TCP, almost right → frames with right checksums or nothing; all can be closed",
    async () => {
      const rounds = await fuzz(150, async (dice) => {
        const clock = new VirtualClock();
        const network = await UserNetwork.open({
          clock,
          sockets: randomSockets(dice),
          access: { allow: ["0.0.0.0/0"] },
        });
        // The guest checks every checksum and length of what comes back.
        const guest = new TinyGuest(network);
        const target = (): number =>
          dice.pick([0x0a000202, 0x0a000203, 0x01010101, 0x0a000211, dice.nasty()]);
        for (let step = 0; step < 60; step++) {
          const kind = dice.below(7);
          if (kind === 0) guest.ask(dice.pick(["10.0.2.2", "10.0.2.3", "9.9.9.9"]));
          else if (kind === 1) guest.ipv4(1, target(), dice.bytes(dice.below(100)));
          else if (kind === 2) {
            const datagram = dice.bytes(8 + dice.below(600));
            datagram.set([
              dice.below(4),
              7,
              0,
              dice.pick([53, 67, 67, 9]),
              datagram.length >> 8,
              datagram.length & 255,
            ]);
            if (datagram.length > 10 && dice.chance(2)) datagram.set([1, 1, 6], 8);
            if (datagram.length > 260)
              datagram.set([0x63, 0x82, 0x53, 0x63, 53, 1, dice.below(9)], 8 + 236);
            guest.ipv4(17, target(), datagram, dice.chance(2) ? 0 : guest.address);
          } else if (kind < 6) guest.ipv4(6, dice.pick([0x0a000202, 0x01010101]), segment(dice));
          else {
            const frame = dice.bytes(dice.below(200));
            frame.set([0x52, 0x55, 0x0a, 0, 2, 2].slice(0, frame.length));
            guest.sendRaw(frame);
          }
          if (dice.chance(4)) await turn();
          if (dice.chance(9)) clock.advanceTo(clock.nowNs() + dice.below(4) * 1e9);
        }
        await turn();
        expect(network.flows.tcp).toBeLessThanOrEqual(12);
        network.close();
        expect(network.flows).toEqual({ tcp: 0, udp: 0 });
      });
      expect(rounds).toBeGreaterThanOrEqual(150);
    },
    FUZZ_TIMEOUT,
  );
});
