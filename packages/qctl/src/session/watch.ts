import { isQueztlError, type QueztlError } from "@queztl/errors";
import { isPassing, sleep } from "./wait.ts";

/** What is watched, and where it is shown. */
export interface WatchOptions<Data> {
  readonly read: (signal: AbortSignal) => Promise<Data>;
  readonly text: (data: Data) => Promise<string>;
  readonly stream: NodeJS.WriteStream;
  /** Whether it is drawn over what was there; otherwise each change is written beneath the last one. */
  readonly isLive: boolean;
  readonly signal: AbortSignal;
  readonly everyMs: number;
  readonly onLost: (failure: QueztlError | undefined) => void;
}

/** Shows a thing again at each change until aborted; gives the last one that was seen. */
export async function watchView<Data>(options: WatchOptions<Data>): Promise<Data> {
  const { read, text, stream, isLive, signal, everyMs, onLost } = options;
  const { createLogUpdate } = await import("log-update");
  const update = isLive ? createLogUpdate(stream) : undefined;
  let last = await read(signal);
  let shown: string | undefined;
  let lost = false;
  const tell = (failure: QueztlError | undefined) => {
    update?.clear();
    shown = undefined;
    onLost(failure);
  };
  const draw = async (): Promise<void> => {
    const now = await text(last);
    if (now === shown) return;
    shown = now;
    if (update === undefined) stream.write(now);
    else update(now.trimEnd());
  };
  const redraw = () => {
    shown = undefined;
    void draw();
  };
  if (isLive) stream.on("resize", redraw);
  try {
    while (!signal.aborted) {
      await draw();
      await sleep(everyMs, signal);
      if (signal.aborted) break;
      try {
        last = await read(signal);
        if (lost) tell(undefined);
        lost = false;
      } catch (failure) {
        if (signal.aborted) break;
        if (!isQueztlError(failure) || !isPassing(failure)) throw failure;
        if (!lost) tell(failure);
        lost = true;
      }
    }
  } finally {
    stream.off("resize", redraw);
    update?.done();
  }
  return last;
}
