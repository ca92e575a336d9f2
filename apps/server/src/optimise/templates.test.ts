import pino from "pino";
import { expect, test } from "vitest";
import type { Records } from "../database/database.ts";
import type { Settings } from "../config/settings.ts";
import { createProcessVms } from "../testing/process-vms.ts";
import type { TemplateSpec } from "../vms/vm-host.ts";
import { Templates } from "./templates.ts";

const wanted: TemplateSpec = { image: "base", cpu: 1, memoryMib: 256, network: false };

function templatesOf(there: readonly Partial<TemplateSpec>[]) {
  const prepared: TemplateSpec[] = [];
  const templates = new Templates({
    host: {
      ...createProcessVms("/nowhere"),
      templates: async () => there.map((each) => ({ ...wanted, ...each })),
      prepare: async (template) => void prepared.push(template),
    },
    records: {} as Records,
    settings: {} as Settings,
    log: pino({ level: "silent" }),
  });
  return { templates, prepared };
}

test("no template of the size and a larger one → that one now, the right one is built once", async () => {
  const { templates, prepared } = templatesOf([{ memoryMib: 1024 }, { memoryMib: 512 }]);
  const [size] = await Promise.all([
    templates.sizeLike(wanted, Infinity),
    templates.sizeLike(wanted, Infinity),
  ]);
  expect(size).toEqual({ cpu: 1, memoryMib: 512 });
  await templates.stop();
  expect(prepared).toEqual([wanted]);
});

test.each([
  ["there is a template of it", [{}, { memoryMib: 512 }], Infinity],
  ["there is none at all", [], Infinity],
  ["the larger one is too large for the limit", [{ memoryMib: 512 }], 300],
  ["the larger one is far too large", [{ memoryMib: 2048 }], Infinity],
  ["the larger one has more processors", [{ memoryMib: 512, cpu: 2 }], Infinity],
  ["the larger one is of another image", [{ memoryMib: 512, image: "debian" }], Infinity],
  ["the larger one has a network", [{ memoryMib: 512, network: true }], Infinity],
])("%s → the size as wanted, nothing is built", async (_, there, most) => {
  const { templates, prepared } = templatesOf(there);
  expect(await templates.sizeLike(wanted, most)).toEqual({ cpu: 1, memoryMib: 256 });
  await templates.stop();
  expect(prepared).toEqual([]);
});
