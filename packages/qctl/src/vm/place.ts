import { posix } from "node:path";

/** One end of a copy: a path in a VM, or one here. */
export type Place =
  { readonly vm: string; readonly path: string } | { readonly vm?: never; readonly path: string };

/**
 * An end of a copy as people type it: `web:/etc/hosts` is in a VM, and `web:notes` there in /root;
 * `./a:b` and everything else is here.
 */
export function parsePlace(text: string): Place {
  const found = /^([A-Za-z0-9][A-Za-z0-9_.-]*):(.*)$/s.exec(text);
  if (found === null || /^[a-z]:[\\/]/i.test(text)) return { path: text };
  const [, vm = "", path = ""] = found;
  return {
    vm,
    path: posix.resolve("/root", path) + (path.endsWith("/") && path !== "/" ? "/" : ""),
  };
}
