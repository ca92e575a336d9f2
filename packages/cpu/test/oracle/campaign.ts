import { describe, differences } from "./compare.ts";
import { EmulatedHost } from "./emulated.ts";
import { digest, formName } from "./forms.ts";
import type { Form } from "./forms.ts";
import { generate } from "./generate.ts";
import { askHost } from "./host.ts";
import type { Instance, Outcome, VectorState } from "./layout.ts";
import { Chooser, memoryImage } from "./values.ts";

/** How a comparison went. */
export interface Campaign {
  instances: number;
  /** Instances that the host's processor carried out to their end. */
  completed: number;
  differences: number;
  /** By row of the opcode table: how many, and the first few in words. */
  readonly different: Map<string, { count: number; reports: string[] }>;
}

/** Gives the x87 and SSE state of an instance. */
export type VectorSource = (chooser: Chooser) => VectorState;

const seeds = new WeakMap<Form, number>();

function seedOf(form: Form): number {
  const known = seeds.get(form);
  if (known !== undefined) return known;
  const seed = digest(new TextEncoder().encode(formName(form)));
  seeds.set(form, seed);
  return seed;
}

/** The same seed gives the same instances of a form, whatever their number and the other forms. */
export function instancesOf(
  forms: readonly Form[],
  seed: number,
  start: number,
  count: number,
  vectors?: VectorSource,
): { form: Form; instance: Instance }[] {
  return Array.from({ length: count }, (_, i) => {
    const index = start + i;
    const form = forms[index % forms.length] as Form;
    const round = Math.floor(index / forms.length);
    const salt = Math.imul(seed, 0x9e3779b1) ^ Math.imul(round, 0x85ebca6b);
    const chooser = new Chooser((seedOf(form) ^ salt) >>> 0);
    const state = vectors === undefined ? undefined : () => vectors(chooser);
    return { form, instance: generate(form, chooser, state) };
  });
}

/** Compares outcomes, entering the differences into a campaign. */
export function compareAll(
  campaign: Campaign,
  emulated: EmulatedHost,
  list: readonly { form: Form; instance: Instance }[],
  answers: readonly Outcome[],
): void {
  list.forEach(({ form, instance }, index) => {
    const host = answers[index] as Outcome;
    campaign.instances++;
    if (host.rip === 0x1000_0000n + BigInt(instance.entry + instance.code.length)) {
      campaign.completed++;
    }
    const found = differences(form, instance, host, emulated.run(instance));
    if (found.length === 0) return;
    campaign.differences++;
    const row = form.entry.text;
    const known = campaign.different.get(row) ?? { count: 0, reports: [] };
    known.count++;
    if (known.reports.length < 5) {
      known.reports.push(
        [describe(form, instance), ...found.map((line) => `    ${line}`)].join("\n"),
      );
    }
    campaign.different.set(row, known);
  });
}

export const newCampaign = (): Campaign => ({
  instances: 0,
  completed: 0,
  differences: 0,
  different: new Map(),
});

const BATCH = 20_000;

/** Compares `count` random instances with this host. */
export function compareWithHost(
  forms: readonly Form[],
  seed: number,
  count: number,
  vectors?: VectorSource,
): Campaign {
  const image = memoryImage();
  const emulated = new EmulatedHost(image);
  const campaign = newCampaign();
  for (let start = 0; start < count; start += BATCH) {
    const list = instancesOf(forms, seed, start, Math.min(BATCH, count - start), vectors);
    const answers = askHost(
      image,
      list.map(({ instance }) => instance),
    );
    compareAll(campaign, emulated, list, answers);
  }
  return campaign;
}
