import { linkSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What programs leave when they come to their end, outside of anything that a server knows: how often each name was left. */
export interface Marks {
  /** The command of a short task that leaves a mark. */
  command(name: string): readonly string[];
  seen(): ReadonlyMap<string, number>;
  close(): void;
}

const LOOK_MS = 10;

/** Programs of this computer make a file each. */
export function fileMarks(folder: string): Marks {
  mkdirSync(folder);
  return {
    command: (name) => ["sh", "-c", `sleep 0.1; mktemp ${folder}/${name}.XXXXXX`],
    seen: () => counted(readdirSync(folder).map((file) => file.slice(0, file.indexOf(".")))),
    close: () => undefined,
  };
}

/**
 * Guests write a line to their console, whose log lies in their VM's folder. That goes with the VM, so each log is given a second name
 * as soon as it is there; the program waits a moment for that.
 */
export function consoleMarks(folder: string, home: string): Marks {
  mkdirSync(folder);
  const vms = join(home, "vms");
  const kept = new Set<string>();
  const look = () => {
    for (const vm of names(vms)) {
      // Folders that are being made or removed are a VM's as well, under another name.
      if (vm.startsWith(".") || kept.has(vm)) continue;
      try {
        linkSync(join(vms, vm, "console.log"), join(folder, vm));
        kept.add(vm);
      } catch {
        // It is not there yet, or no more.
      }
    }
  };
  const timer = setInterval(look, LOOK_MS);
  return {
    command: (name) => ["sh", "-c", `sleep 0.1; echo "mark-${name}." >/dev/console; sleep 0.5`],
    seen() {
      const logs = readdirSync(folder).map((vm) => readFileSync(join(folder, vm), "latin1"));
      // A VM runs one program once; a guest may have more than one console that shows it.
      const namesIn = (log: string) =>
        new Set([...log.matchAll(/mark-(\w+)\./g)].map(([, name = ""]) => name));
      return counted(logs.flatMap((log) => [...namesIn(log)]));
    },
    close: () => clearInterval(timer),
  };
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function counted(found: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of found) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
