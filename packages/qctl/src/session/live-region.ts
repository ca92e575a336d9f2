import type { Page } from "../view/view.ts";

/** Lines at the end of the terminal that are drawn again and again. */
export interface LiveRegion {
  /** Draws what `lines` gives, ten times a second; `spinner` is the mark that moves. */
  readonly draw: (lines: (spinner: string, page: Page) => string) => void;
  /** Writes a line above them, which stays. */
  readonly say: (text: string) => void;
  /** Takes the lines away, or leaves `last` in their place. */
  readonly close: (last?: string) => void;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** A live region on a terminal's standard error. */
export async function openLiveRegion(
  stream: NodeJS.WriteStream,
  page: () => Page,
): Promise<LiveRegion> {
  const { createLogUpdate } = await import("log-update");
  const update = createLogUpdate(stream);
  let frame = 0;
  let drawn: (spinner: string, page: Page) => string = () => "";
  const tick = () => {
    frame = (frame + 1) % FRAMES.length;
    const now = page();
    update(drawn(now.paint("cyan", FRAMES[frame] ?? ""), now));
  };
  const timer = setInterval(tick, 100);
  // What is drawn must not keep a finished command from ending.
  timer.unref();
  return {
    draw: (lines) => {
      drawn = lines;
      tick();
    },
    say: (text) => {
      update.clear();
      stream.write(`${text}\n`);
      tick();
    },
    close: (last) => {
      clearInterval(timer);
      update.clear();
      if (last !== undefined) stream.write(`${last}\n`);
      update.done();
    },
  };
}
