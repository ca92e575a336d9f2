/**
 * What `npm start` runs until the server exists: a Debian Linux, its kernel unmodified, in a virtual machine that
 * the brain sizes, on the emulated processor. On a terminal it ends in the guest's shell; elsewhere the
 * guest says what it is and powers off.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createBrain } from "@queztl/brain";
import { READY_LINE } from "@queztl/images";
import { buildImage } from "@queztl/images/node";

const TASK = "Boot a small Debian Linux and look around in its shell";
const TOUR = ["uname -a", "nproc", "free -m", "awk 'BEGIN { print 355 / 113 }'", "poweroff"];
const MAIN = fileURLToPath(new URL("../packages/hypervisor/src/node/main.ts", import.meta.url));

const say = (text: string): void => console.log(`queztl: ${text}`);

say(`the task: ${TASK}`);
const brain = createBrain({ clock: { now: () => Date.now() / 1000 } });
const decision = brain.estimate(brain.analyse({ description: TASK, limits: { memoryMib: 512 } }));
const { memoryMib, vcpus } = decision.resources;
say(`the brain gives it ${memoryMib} MiB and ${vcpus} vCPU, because`);
for (const reason of decision.reasons) console.log(`  - ${reason}`);

say("the guest: Debian's cloud kernel and busybox, from Debian's packages or the cache");
const image = await buildImage({
  flavour: "cloud",
  onProgress({ step, package: name = "", bytes, totalBytes }) {
    // While a package downloads, its progress is one line that is written over.
    if (bytes === undefined) say(`  ${step} ${name}`);
    else if (process.stdout.isTTY) {
      const percent = totalBytes ? ` ${Math.floor((100 * bytes) / totalBytes)} %` : "";
      process.stdout.write(
        `\rqueztl:   ${step} ${name}${percent}   ${bytes === totalBytes ? "\n" : ""}`,
      );
    }
  },
}).catch((error: unknown) => {
  say(`no guest image can be had: ${error instanceof Error ? error.message : String(error)}`);
  say(
    "it needs apt, or a Debian mirror named by QUEZTL_DEBIAN_MIRRORS, the first time; later runs need no network.",
  );
  process.exit(1);
});
say(`Linux ${image.release} boots now; a terminal leaves the guest with Ctrl-A x`);

const interactive = process.stdin.isTTY && process.stdout.isTTY;
const started = performance.now();
const words = ["run", "--kernel", image.kernel.path, "--initrd", image.initramfs.path];
const size = ["--memory", String(memoryMib), "--cpus", String(vcpus)];
const append = ["--append", "console=ttyS0 cryptomgr.notests=1 panic=-1 quiet"];
const bounded = interactive ? [] : ["--timeout", "600"];
const child = spawn(
  process.execPath,
  ["--conditions=@queztl/source", MAIN, ...words, ...size, ...append, ...bounded],
  { stdio: interactive ? "inherit" : ["pipe", "pipe", "inherit"] },
);
let seen = "";
child.stdout?.setEncoding("utf8").on("data", (text: string) => {
  process.stdout.write(text);
  const before = seen;
  seen = (seen + text).slice(-4096);
  if (!before.includes(READY_LINE) && seen.includes(READY_LINE)) {
    say(`the guest was ready after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  // The shell's prompt ends in "# ", after which it asks where the cursor is: one command a prompt.
  if (seen.replaceAll("\u001b[6n", "").endsWith("# ")) {
    seen = "";
    const command = TOUR.shift();
    if (command !== undefined) child.stdin?.write(`${command}\n`);
  }
});
child.on("close", (code) => {
  say(code === 0 ? "the guest powered off" : `the machine ended with ${code}`);
  process.exitCode = code ?? 1;
});
