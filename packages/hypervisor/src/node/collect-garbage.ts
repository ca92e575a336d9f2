import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const EXPOSE = "expose-gc";

/** V8's own, for its tests: the last resort gives back the room for young objects, too, which grows to 128 MiB. */
type Collect = (options: { readonly type: "major"; readonly flavor: "last-resort" }) => void;

let collect: Collect | undefined;

/** Has V8 collect this process's garbage now, all of it: some 100 ms. */
export function collectGarbage(): void {
  collect ??= collector();
  collect({ type: "major", flavor: "last-resort" });
}

function collector(): Collect {
  setFlagsFromString(`--${EXPOSE}`);
  try {
    return runInNewContext("gc") as Collect;
  } finally {
    // What V8 keeps of compiled code is for the flags that it was compiled with.
    setFlagsFromString(`--no-${EXPOSE}`);
  }
}
