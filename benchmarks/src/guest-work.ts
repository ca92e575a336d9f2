import type { Case, Needs, Subject } from "./bench.ts";
import { emulatorOf } from "./guests.ts";
import type { Guests, Runner } from "./guests.ts";

/** Who runs work unless it says otherwise: ours, the peers, in the order of their columns. */
const RUNNERS: readonly Runner[] = ["queztl", "qemu tcg", "native"];

/** Work that is done in a guest, under several emulators, and natively. */
export interface Work {
  readonly name: string;
  readonly group: string;
  readonly guests: Guests;
  /** Ours and the peers; default ours, QEMU's TCG and this computer. */
  readonly runners?: readonly Runner[];
  /** What this computer needs to build it, and to run it natively. */
  readonly needs?: { readonly build?: Needs; readonly native?: Needs };
  /** A shell's command that does it so many times; @param folder where the guests' files lie. */
  command(folder: string, times: number): string;
  /** How many times a sample does it natively, where it must last; default 1. */
  readonly nativeTimes?: number;
  /** Reads a rate in the unit from what the command printed. Without, seconds count, and all must print the same. */
  readonly rate?: { readonly unit: string; parse(output: string): number };
}

/** The case that compares the runners at a work. */
export function workCase(work: Work): Case {
  const { name, group, guests, rate, needs = {}, nativeTimes = 1, runners = RUNNERS } = work;
  const needsOf = (runner: Runner): Needs | undefined => {
    if (runner === "queztl") return needs.build;
    return runner === "native" ? needs.native : emulatorOf(runner, guests.bits)?.needs;
  };
  /** What was printed first, by command. */
  const printed = new Map<string, string>();
  const sample = async (runner: Runner, times: number): Promise<number> => {
    const { shell, folder } = await guests.of(runner);
    const { output, seconds } = await shell.time(work.command(folder, times));
    if (rate) return rate.parse(output);
    const command = work.command("", times);
    const expected = printed.get(command) ?? output;
    printed.set(command, expected);
    if (output === "" || output !== expected) {
      throw new Error(`${runner} printed ${output}, not ${expected}`);
    }
    return seconds / times;
  };
  const subject = (runner: Runner): Subject => ({
    name: runner,
    needs: needsOf(runner) ?? {},
    async setup() {
      // So that all do the same once, where samples differ.
      if (nativeTimes === 1) await guests.of(runner);
      else await sample(runner, 1);
    },
    measure: () => sample(runner, runner === "native" ? nativeTimes : 1),
  });
  const [ours, ...peers] = runners.map(subject);
  if (!ours) throw new Error("there is a runner of ours");
  const unit = rate?.unit ?? "s";
  return { name, group, unit, better: rate ? "higher" : "lower", ours, peers };
}
