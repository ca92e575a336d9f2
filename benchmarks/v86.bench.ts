import { bootCase } from "./src/boot-time.ts";
import { qemuTcg32, v86 } from "./src/emulators.ts";
import { Guests } from "./src/guests.ts";
import { workCase } from "./src/guest-work.ts";
import { defineBench } from "./src/index.ts";

const guests = new Guests({ flavour: "i386", files: () => ({}) });

/** Busybox in a 32-bit guest. */
const COMMANDS = [
  ["a shell's loop, 50,000 rounds", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo $i"],
  ["dd of 50 MB | md5sum", "dd if=/dev/zero bs=1M count=50 2>/dev/null | md5sum"],
  [
    "awk, 100,000 rounds in floating point",
    `awk 'BEGIN { for (i = 1; i <= 100000; i++) s += i * 1.5 / (i + 0.25); printf "%.9f\\n", s }'`,
  ],
  [
    "100 times fork and exec",
    "i=0; while [ $i -lt 100 ]; do /bin/busybox true; i=$((i+1)); done; echo $i",
  ],
] as const;

export default defineBench({
  summary: "a stock Debian 12 kernel for 32-bit processors and what runs on it, beside v86",
  rounds: 5,
  cases: [
    bootCase("boot to init, without crypto self-tests", "i386", "cryptomgr.notests=1", [
      ["qemu tcg", qemuTcg32],
      ["v86", v86],
    ]),
    ...COMMANDS.map(([name, command]) =>
      workCase({
        name,
        group: "programs",
        guests,
        runners: ["queztl", "qemu tcg", "v86"],
        command: () => command,
      }),
    ),
  ],
});
