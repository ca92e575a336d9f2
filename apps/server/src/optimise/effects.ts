import { and, count, eq, gte, isNull, lt, sql } from "drizzle-orm";
import type { Records } from "../database/database.ts";
import { actions, vms } from "../database/schema.ts";
import type { TemplateSpec } from "../vms/vm-host.ts";

/** How long after an action its effect is looked at. */
const AFTER_MS = 3600 * 1000;
// As the brain counts: what a VM that need not be booted saves, and what a second of waiting is worth in GiB·s.
const SAVED_SECONDS = 2;
const WAITING_WORTH = 30;
/** What a process that stands by holds. */
const STANDBY_GIB = 0.06;

/** What came of an action. */
export interface Effect {
  readonly id: string;
  readonly effect: string;
  readonly realisedGain: number;
}

/** What so many VMs gain that did not have to wait, in GiB·s. */
export const gainOf = (vms: number): number => vms * SAVED_SECONDS * WAITING_WORTH;

/** Whether a VM of the records has a network card; those of tasks have none. */
export const hasNetwork = () => sql<boolean>`${vms.task} is null`;

/** A template's name among the subjects of actions. */
export const subjectOf = ({ image, cpu, memoryMib, network }: TemplateSpec): string =>
  `${image}/${cpu}/${memoryMib}${network ? "/network" : ""}`;

/** The template that a subject names. */
export function shapeOf(subject: string): TemplateSpec | undefined {
  const [, image, cpu, memoryMib, network] =
    /^(.+?)\/(\d+)\/(\d+)(\/network)?$/.exec(subject) ?? [];
  if (image === undefined) return undefined;
  return { image, cpu: Number(cpu), memoryMib: Number(memoryMib), network: network !== undefined };
}

/** Looks at what has come of actions of an hour and more ago, and writes that down with them. */
export async function judgeActions(records: Records, now: Date): Promise<Effect[]> {
  const old = await records
    .select()
    .from(actions)
    .where(
      and(
        eq(actions.done, true),
        isNull(actions.effect),
        lt(actions.at, new Date(now.getTime() - AFTER_MS)),
      ),
    )
    .limit(100);
  const judged: Effect[] = [];
  for (const action of old) {
    const until = new Date(action.at.getTime() + AFTER_MS);
    const effect = await effectOf(records, action, until);
    judged.push({ id: action.id, ...effect });
    await records.update(actions).set(effect).where(eq(actions.id, action.id));
  }
  return judged;
}

async function effectOf(
  records: Records,
  { kind, subject, value, at, realisedGain }: typeof actions.$inferSelect,
  until: Date,
): Promise<Omit<Effect, "id">> {
  const shape = shapeOf(subject);
  const startedInTheHour = [gte(vms.createdAt, at), lt(vms.createdAt, until)];
  const started = async (...of: Parameters<typeof and>) => {
    const [row] = await records
      .select({ vms: count() })
      .from(vms)
      .where(and(...startedInTheHour, ...of));
    return row?.vms ?? 0;
  };
  const ofShape = async ({ image, cpu, memoryMib, network }: TemplateSpec) =>
    started(
      eq(vms.image, image),
      eq(vms.cpu, cpu),
      eq(vms.memoryMib, memoryMib),
      sql`${hasNetwork()} = ${network}`,
    );
  if (kind === "standby") {
    const made = await started();
    const held = value * STANDBY_GIB * (AFTER_MS / 1000);
    // Each process that stands by becomes one VM and is followed by another.
    return {
      effect: `${made} VMs were made in the hour after`,
      realisedGain: value === 0 ? 0 : gainOf(made) - held,
    };
  }
  if (kind === "template-build" && shape !== undefined) {
    const made = await ofShape(shape);
    return { effect: `${made} VMs were made of it in the hour after`, realisedGain: gainOf(made) };
  }
  if (kind === "template-drop" && shape !== undefined) {
    const made = await ofShape(shape);
    const effect =
      made === 0
        ? "no VM wanted it in the hour after"
        : `${made} VMs wanted it in the hour after, and it was built again`;
    return { effect, realisedGain: made === 0 ? 0 : -gainOf(1) };
  }
  if (kind === "memory-reclaim") {
    const [vm] = await records.select({ state: vms.state }).from(vms).where(eq(vms.id, subject));
    const gave = `${Math.round(value)} MiB were given back`;
    return {
      effect: `${gave}; an hour later the VM is ${vm?.state ?? "gone"}`,
      realisedGain: realisedGain ?? 0,
    };
  }
  return { effect: "nothing is known of it", realisedGain: realisedGain ?? 0 };
}
