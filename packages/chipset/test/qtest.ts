import { spawn, spawnSync } from "node:child_process";

/** One access, and what this package's chip answered to a read, in the bits that are compared. */
export interface Access {
  readonly command: string;
  readonly answer?: number;
  readonly mask?: number;
}

/** Whether QEMU is installed. */
export const hasQemu = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;

/**
 * Does the same accesses on the chips of a stopped QEMU machine, through its test protocol, and returns the
 * first that answers otherwise, with what led to it; undefined when all agree.
 */
export async function firstDifference(accesses: readonly Access[]): Promise<string | undefined> {
  const qemu = spawn(
    "qemu-system-x86_64",
    ["-M", "pc", "-accel", "tcg", "-S", "-qtest", "stdio", "-qtest-log", "/dev/null"].concat(
      ["-display", "none", "-nodefaults", "-serial", "null"],
      ["-rtc", "base=2026-03-04T21:58:07,clock=vm"],
    ),
    { stdio: ["pipe", "pipe", "ignore"] },
  );
  try {
    const output = (async () => {
      let text = "";
      for await (const chunk of qemu.stdout) {
        text += String(chunk);
        const answers = text.split("\n").filter((line) => /^(OK|FAIL)/.test(line));
        if (answers.length >= accesses.length) return answers;
      }
      throw new Error(`QEMU ended early: ${text.slice(-200)}`);
    })();
    qemu.stdin.write(accesses.map((access) => `${access.command}\n`).join(""));
    const answers = await output;
    const at = accesses.findIndex(({ answer, mask = 0xff }, i) => {
      const line = answers[i] ?? "";
      if (!line.startsWith("OK")) return true;
      return answer !== undefined && ((Number(line.slice(3)) ^ answer) & mask) !== 0;
    });
    if (at < 0) return undefined;
    const lead = accesses.slice(Math.max(0, at - 20), at + 1);
    const told = lead.map((access) => `${access.command} → ${access.answer ?? ""}`);
    return [...told, `QEMU: ${answers[at]}`].join("\n");
  } finally {
    qemu.kill();
  }
}
