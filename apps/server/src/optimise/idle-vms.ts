import type { OutputOf } from "@queztl/api";
import type { Logger } from "pino";
import { sortableId } from "../sortable-id.ts";
import type { Fleet } from "../vms/fleet.ts";

type Action = OutputOf<"brain.optimize">["actions"][number];

/** What was seen of a VM when it was last looked at. */
interface Seen {
  readonly cpuSeconds: number;
  readonly since: number;
  readonly reclaimed: boolean;
}

/** A processor that is busy for less than this part of the time does nothing but keep time. */
const IDLE_SHARE = 0.02;

/** Looks for VMs that hold memory and do nothing, and asks their guests to give it back. */
export class IdleVms {
  readonly #fleet: Fleet;
  readonly #log: Logger;
  readonly #seen = new Map<string, Seen>();

  constructor(fleet: Fleet, log: Logger) {
    this.#fleet = fleet;
    this.#log = log;
  }

  /** The VMs that have done nothing for so long, as actions yet to be done. */
  async find(idleMs: number, now = Date.now()): Promise<Action[]> {
    const rows = (await this.#fleet.running()).filter(({ state }) => state === "running");
    const known = new Set(rows.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!known.has(id)) this.#seen.delete(id);
    const found: Action[] = [];
    for (const { id, name, task } of rows) {
      if (task !== null) continue;
      const usage = await this.#fleet
        .find(id)
        ?.usage()
        .catch((error: unknown) => {
          this.#log.debug({ err: error, vm: id }, "a VM does not tell what it uses");
          return undefined;
        });
      if (usage === undefined) continue;
      const before = this.#seen.get(id);
      const passed = before === undefined ? 0 : (now - before.since) / 1000;
      const busy =
        before === undefined ? 1 : (usage.cpuSeconds - before.cpuSeconds) / Math.max(passed, 0.001);
      if (before === undefined || busy > IDLE_SHARE) {
        this.#seen.set(id, { cpuSeconds: usage.cpuSeconds, since: now, reclaimed: false });
        continue;
      }
      if (before.reclaimed || passed * 1000 < idleMs) continue;
      found.push({
        id: sortableId("action"),
        kind: "memory-reclaim",
        subject: id,
        value: usage.memoryMib,
        reason: `VM ${name} was idle for ${Math.round(passed / 60)} min and holds ${Math.round(usage.memoryMib)} MiB`,
        expectedGain: (usage.memoryMib / 1024) * (idleMs / 1000) * 0.5,
        realisedGain: null,
        done: false,
      });
    }
    return found;
  }

  /** Asks a VM for its memory; what it gave is the gain. */
  async act(action: Action): Promise<Action> {
    const seen = this.#seen.get(action.subject);
    if (seen !== undefined) this.#seen.set(action.subject, { ...seen, reclaimed: true });
    try {
      const mib = (await this.#fleet.find(action.subject)?.reclaim()) ?? 0;
      return { ...action, done: true, value: mib, realisedGain: mib / 1024 };
    } catch (error) {
      this.#log.warn({ err: error, vm: action.subject }, "a VM gave no memory back");
      return action;
    }
  }
}
