import { coloured, plain, wantsColour } from "../view/paint.ts";
import type { Page } from "../view/view.ts";

const NARROWEST = 20;

/** The page that a stream is: a terminal has a width and colours, a file or pipe has neither. */
export function pageOf(
  stream: Pick<NodeJS.WriteStream, "isTTY" | "columns">,
  environment: NodeJS.ProcessEnv,
): Page {
  const width = stream.isTTY ? Math.max(NARROWEST, stream.columns || 80) : Number.POSITIVE_INFINITY;
  const paint = wantsColour(stream, environment) ? coloured : plain;
  return { width, paint, wide: false, now: new Date() };
}

/** Whether progress may be shown on it: a terminal that can move its cursor. */
export const isLively = (
  stream: Pick<NodeJS.WriteStream, "isTTY">,
  environment: NodeJS.ProcessEnv,
): boolean => stream.isTTY && environment["TERM"] !== "dumb" && environment["CI"] === undefined;
