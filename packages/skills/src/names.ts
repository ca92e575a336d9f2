/** The longest path of a file that goes into or comes out of a guest. */
export const PATH_LENGTH_MAX = 512;

/** Says what is wrong with the name of a task's file; undefined for one that stays where it is put. */
export function pathProblem(path: string): string | undefined {
  if (path.length === 0 || path.length > PATH_LENGTH_MAX) {
    return `a name has 1 to ${PATH_LENGTH_MAX} characters`;
  }
  if (/[\p{Cc}\\]/u.test(path)) return "a name has no backslash and no control character";
  if (path.split("/").every((part) => part !== "" && part !== "." && part !== ".."))
    return undefined;
  return "a name is a relative path without `..`, `.` and empty parts";
}

const WILDCARDS: Readonly<Record<string, string>> = { "**": ".*", "*": "[^/]*" };

/**
 * True where `name` fits a pattern in which `*` stands for any characters but `/` and `**` for any at all, whatever their
 * case.
 */
export function fitsPattern(pattern: string, name: string): boolean {
  const source = pattern
    .split(/(\*\*?)/)
    .map((part) => WILDCARDS[part] ?? part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join("");
  return new RegExp(`^${source}$`, "i").test(name);
}
