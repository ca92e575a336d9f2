import { bootError } from "./errors.ts";
import { LOW_LAYOUT } from "./cpu-state.ts";
import type { PlacedModule } from "./initrd.ts";
import type { Placement } from "./placement.ts";

/**
 * Puts the modules' command lines, zero-terminated, one after the other.
 * @returns their addresses, 0 for a module without one.
 * @throws QZ_BOOT_COMMAND_LINE when they are too long together or hold a zero byte.
 */
export function putModuleCommandLines(
  placement: Placement,
  modules: readonly PlacedModule[],
): number[] {
  let at: number = LOW_LAYOUT.moduleCommandLines;
  return modules.map(({ commandLine }, index) => {
    if (commandLine === "") return 0;
    const bytes = new TextEncoder().encode(`${commandLine}\0`);
    const address = at;
    at += bytes.length;
    if (commandLine.includes("\0") || at > LOW_LAYOUT.end) {
      const reason = `of module ${index} holds a zero byte or is too long`;
      throw bootError("QZ_BOOT_COMMAND_LINE", { reason });
    }
    placement.put(`the command line of module ${index}`, address, bytes);
    return address;
  });
}
