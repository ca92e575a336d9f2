import { bootError } from "./errors.ts";
import { LOW_LAYOUT } from "./cpu-state.ts";
import type { Placement } from "./placement.ts";

/** The longest command line of x86 Linux where no header says otherwise, without the final zero. */
export const LINUX_COMMAND_LINE_MAX = 2047;

/** Room for a command line in the low layout, without the final zero. */
const ROOM = LOW_LAYOUT.moduleCommandLines - LOW_LAYOUT.commandLine - 1;

/**
 * Puts the kernel's command line, zero-terminated, at its place.
 * @param most the most bytes the kernel takes, without the final zero.
 * @returns its guest-physical address.
 * @throws QZ_BOOT_COMMAND_LINE when it is too long or holds a zero byte.
 */
export function putCommandLine(placement: Placement, text: string, most = ROOM): number {
  if (text.includes("\0")) {
    throw bootError("QZ_BOOT_COMMAND_LINE", { reason: "holds a zero byte, which would end it" });
  }
  const bytes = new TextEncoder().encode(`${text}\0`);
  const limit = Math.min(most, ROOM);
  if (bytes.length - 1 > limit) {
    const reason = `has ${bytes.length - 1} bytes where this kernel takes ${limit}`;
    throw bootError("QZ_BOOT_COMMAND_LINE", { reason });
  }
  placement.put("the command line", LOW_LAYOUT.commandLine, bytes);
  return LOW_LAYOUT.commandLine;
}
