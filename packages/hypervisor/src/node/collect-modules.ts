import { giveBackMemory } from "./monitor/give-back-memory.ts";

/** How often it is looked how many modules there were made. */
const LOOK_MS = 2000;
/** Modules of translated code that may lie about: some 100 KiB each. */
const MOST_MODULES = 256;

/** What is asked of a machine. */
interface Translating {
  readonly statistics: { readonly translator: { readonly modules: number } | undefined };
}

/**
 * Has memory given back whenever a machine has made so many modules of translated code: V8 does not count what they hold outside its
 * heap, and leaves those that nobody uses any more until the heap itself has grown. @returns what ends it.
 */
export function collectModules(
  machine: Translating,
  collect: () => unknown = giveBackMemory,
): () => void {
  let collected = 0;
  const timer = setInterval(() => {
    const { modules = 0 } = machine.statistics.translator ?? {};
    if (modules - collected < MOST_MODULES) return;
    collected = modules;
    collect();
  }, LOOK_MS).unref();
  return () => clearInterval(timer);
}
