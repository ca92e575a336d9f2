import { Args, Flags } from "@oclif/core";

const one = (what: string) => Args.string({ required: true, description: what });

/** One VM. */
export const vmArg = one("The VM, by name or id");
/** One VM or several. */
export const vmsArg = Args.string({
  required: true,
  multiple: true,
  description: "The VMs, by name or id",
});
/** One task. */
export const taskArg = one("The task's id");
/** One task or several. */
export const tasksArg = Args.string({
  required: true,
  multiple: true,
  description: "The tasks' ids",
});
export const snapshotArg = one("The snapshot, by name or id");
export const nodeArg = one("The node, by name or id");
export const imageArg = one("The image, by name or id");

/** How much of a list is shown. */
export const limitFlag = Flags.integer({
  char: "l",
  default: 500,
  min: 1,
  max: 1_000_000,
  helpValue: "N",
  summary: "Show at most this many",
});

/** A flag that may be given several times, beside arguments. */
export const severalFlag = (options: {
  readonly summary: string;
  readonly helpValue: string;
  readonly char?: "l" | "p" | "e" | "f" | "s" | "F";
}) => Flags.string({ ...options, multiple: true, multipleNonGreedy: true, default: [] });
