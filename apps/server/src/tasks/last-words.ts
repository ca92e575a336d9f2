import type { HostedVm } from "../vms/vm-host.ts";

const MOST_LINES = 8;
const LONGEST_LINE = 200;

/**
 * What the console of a VM that was lost has said last, such as what its kernel has killed; undefined where it said
 * nothing, or is gone with it. Nothing but line feeds is left of what moves a cursor.
 */
export async function lastWords(
  vm: Pick<HostedVm, "log"> | undefined,
): Promise<string | undefined> {
  const pieces = (await vm?.log({ tail: 1, limit: 2 }).catch(() => undefined)) ?? [];
  const lines = pieces
    .filter(({ stream }) => stream === "console")
    .map(({ text }) => text)
    .join("")
    .split(/[\r\n]+/)
    .map((line) => line.replace(/[^\P{C}\t]/gu, "").slice(0, LONGEST_LINE))
    .filter((line) => line.trim() !== "");
  return lines.length === 0 ? undefined : lines.slice(-MOST_LINES).join("\n");
}
