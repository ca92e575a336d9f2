import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { Flavour } from "@queztl/images";
import { createEmulatorEngine } from "../src/index.ts";
import type { Engine, EngineVcpu } from "../src/index.ts";
import { Guest, imageOf, kernelOf } from "./guest.ts";

const MINUTES = 60_000;

/** Calls `look` with a digest of everything a program can see of the processor after each turn. */
function watched(tier: 0 | "auto", look: (instructions: number, digest: string) => void): Engine {
  const inner = createEmulatorEngine({ tier });
  return {
    ...inner,
    create(board) {
      const instance = inner.create(board);
      const watch = (vcpu: EngineVcpu): EngineVcpu => ({
        run(budget) {
          const exit = vcpu.run(budget);
          const state = JSON.stringify(instance.save().vcpus, (_, value: unknown) =>
            typeof value === "bigint" ? `${value}` : value,
          );
          look(vcpu.instructions, createHash("md5").update(exit).update(state).digest("base64"));
          return exit;
        },
        requestStop: () => vcpu.requestStop(),
        reset: () => vcpu.reset(),
        boot: (state) => vcpu.boot(state),
        wasStopped: () => vcpu.wasStopped(),
        get runnable() {
          return vcpu.runnable;
        },
        get instructions() {
          return vcpu.instructions;
        },
      });
      return {
        ...instance,
        vcpus: instance.vcpus.map(watch),
        get translator() {
          return instance.translator;
        },
      };
    },
  };
}

async function session(flavour: Flavour, engine: Engine): Promise<Guest> {
  const image = await imageOf(flavour);
  if (typeof image === "string") throw new Error(image);
  const kernel = await kernelOf(image, "cryptomgr.notests=1");
  const guest = await Guest.boot({ ...kernel, engine, seed: 1 }, 10 * MINUTES);
  await guest.machine.pause();
  return guest;
}

test.each(["cloud", "i386"] as const)(
  "a seeded boot of the %s kernel interpreted and translated → the same state after every turn",
  async (flavour) => {
    const turns: string[] = [];
    const first = await session(
      flavour,
      watched(0, (count, digest) => turns.push(`${count} ${digest}`)),
    );
    const end = turns.length;
    await first.machine.stop();
    let turn = 0;
    const second = await session(
      flavour,
      watched("auto", (count, digest) => {
        const [theirs, ours] = [turns[turn] ?? "", `${count} ${digest}`];
        // The first difference ends the machine: what follows from it says nothing.
        if (turn < end && ours !== theirs) {
          throw new Error(`turn ${turn}: ${theirs} interpreted, ${ours} translated`);
        }
        turn++;
      }),
    );
    const { translator } = second.machine.statistics;
    await second.machine.stop();
    expect(Math.min(turn, end)).toBeGreaterThan(1000);
    expect(translator?.executed).toBeGreaterThan(100_000_000);
  },
);
