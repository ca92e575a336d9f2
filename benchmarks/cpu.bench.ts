import { defineBench } from "./src/index.ts";
import { debianPrograms } from "./src/debian-programs.ts";
import { guestLoops } from "./src/guest-loops.ts";

export default defineBench({
  summary:
    "programs in a guest of one processor: the same kernel, initramfs and disk under both emulators, and natively",
  rounds: 9,
  cases: [...guestLoops, ...debianPrograms],
});
