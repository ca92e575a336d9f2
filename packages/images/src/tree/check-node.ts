import { byteLength } from "./path.ts";
import type { TreeNode } from "./node.ts";

/** The longest target of a symbolic link, in bytes: a block less the zero at its end. */
const TARGET_BYTES_MAX = 4095;

/** Seconds that ext4's 34-bit times can hold: 1901 to 2446. */
const TIME_MIN = -(2 ** 31);
const TIME_MAX = 2 ** 34 - 2 ** 31 - 1;

/** Bits of a device's numbers in Linux's dev_t. */
const MAJOR_MAX = 2 ** 12 - 1;
const MINOR_MAX = 2 ** 20 - 1;

/** Why a file cannot be on a Linux disk, or undefined when it can. */
export function nodeProblem(node: TreeNode): string | undefined {
  const { mode, uid, gid, mtime } = node;
  if (!isCount(mode, 0o7777)) return `its mode is ${mode}`;
  if (!isCount(uid, 2 ** 32 - 1)) return `its owner is ${uid}`;
  if (!isCount(gid, 2 ** 32 - 1)) return `its group is ${gid}`;
  if (!(mtime >= TIME_MIN && mtime <= TIME_MAX)) return `its time is ${mtime}`;
  switch (node.type) {
    case "file":
      if (!isCount(node.content.size, Number.MAX_SAFE_INTEGER))
        return `its size is ${node.content.size}`;
      return undefined;
    case "symlink":
      if (node.target === "") return "it is a symbolic link to nothing";
      if (node.target.includes("\0")) return "its target holds a zero byte";
      if (byteLength(node.target) > TARGET_BYTES_MAX) {
        return `its target is longer than ${TARGET_BYTES_MAX} bytes`;
      }
      return undefined;
    case "character-device":
    case "block-device":
      if (!isCount(node.major, MAJOR_MAX) || !isCount(node.minor, MINOR_MAX)) {
        return `its device numbers are ${node.major}, ${node.minor}`;
      }
      return undefined;
    default:
      return undefined;
  }
}

function isCount(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}
