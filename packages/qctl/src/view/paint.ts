import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

/** Colours text, or leaves it as it is. */
export type Paint = (format: Format, text: string) => string;

export const plain: Paint = (_, text) => text;

export const coloured: Paint = (format, text) =>
  text === "" ? "" : styleText(format, text, { validateStream: false });

/** Whether a stream gets colours: a terminal does, unless NO_COLOR (no-color.org) or TERM forbid it. */
export function wantsColour(
  stream: { readonly isTTY?: boolean },
  environment: NodeJS.ProcessEnv,
): boolean {
  if ((environment["NO_COLOR"] ?? "") !== "") return false;
  const forced = environment["FORCE_COLOR"];
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return stream.isTTY === true && environment["TERM"] !== "dumb";
}

const STATE_COLOURS: Readonly<Record<string, Format>> = {
  running: "green",
  ready: "green",
  succeeded: "green",
  ok: "green",
  up: "green",
  done: "green",
  creating: "cyan",
  preparing: "cyan",
  building: "cyan",
  queued: "blue",
  paused: "yellow",
  draining: "yellow",
  cordoned: "yellow",
  warning: "yellow",
  stopped: "gray",
  cancelled: "gray",
  removed: "gray",
  destroyed: "gray",
  crashed: "red",
  failed: "red",
  unreachable: "red",
  down: "red",
  oom: "red",
  lost: "red",
  timeout: "red",
};

/** A state in its colour. */
export const paintState = (paint: Paint, state: string): string => {
  const format = STATE_COLOURS[state];
  return format === undefined ? state : paint(format, state);
};
