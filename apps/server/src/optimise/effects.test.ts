import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Database } from "../database/database.ts";
import { openEmbedded } from "../database/embedded.ts";
import { actions, vms } from "../database/schema.ts";
import { TEST_CACHE } from "../testing/start-test-server.ts";
import { gainOf, judgeActions, shapeOf, subjectOf } from "./effects.ts";

const folder = mkdtempSync(join(tmpdir(), "queztl-effects-"));
let database: Database;
beforeAll(async () => {
  database = await openEmbedded({ directory: join(folder, "database"), cache: TEST_CACHE });
});
afterAll(async () => {
  await database?.close();
  rmSync(folder, { recursive: true });
});

const at = new Date("2026-01-01T00:00:00Z");
const minutes = (count: number) => new Date(at.getTime() + count * 60_000);
const small = { image: "base", cpu: 1, memoryMib: 256, network: false };

const action = (id: string, kind: string, subject: string, value: number) => ({
  id,
  at,
  kind,
  subject,
  value,
  reason: "a test",
  expectedGain: 1,
  realisedGain: null,
  done: true,
});

const vm = (id: string, createdAt: Date, task: string | null) => ({
  id,
  name: id,
  state: "destroyed" as const,
  cpu: 1,
  memoryMib: 256,
  gpu: 0,
  diskMib: 1,
  image: "base",
  engine: "emulator" as const,
  node: "local",
  ports: [],
  labels: {},
  task,
  createdAt,
});

test.each([small, { image: "own/image:1", cpu: 8, memoryMib: 2048, network: true }])(
  "a template as a subject and back → %j",
  (shape) => {
    expect(shapeOf(subjectOf(shape))).toEqual(shape);
  },
);

test("actions of an hour ago → each with what came of it, once; younger ones are left", async () => {
  const { records } = database;
  await records
    .insert(actions)
    .values([
      action("standby", "standby", "local", 1),
      action("built", "template-build", subjectOf(small), 256),
      action("dropped", "template-drop", subjectOf({ ...small, image: "python" }), 256),
      action("missed", "template-drop", subjectOf(small), 256),
      action("reclaimed", "memory-reclaim", "a", 120),
    ]);
  await records
    .insert(vms)
    .values([
      vm("a", minutes(1), "task-1"),
      vm("b", minutes(59), "task-2"),
      vm("c", minutes(30), null),
      vm("d", minutes(61), "task-3"),
    ]);
  expect(await judgeActions(records, minutes(59))).toEqual([]);
  const judged = await judgeActions(records, minutes(61));
  expect(Object.fromEntries(judged.map(({ id, effect }) => [id, effect]))).toEqual({
    standby: "3 VMs were made in the hour after",
    built: "2 VMs were made of it in the hour after",
    dropped: "no VM wanted it in the hour after",
    missed: "2 VMs wanted it in the hour after, and it was built again",
    reclaimed: "120 MiB were given back; an hour later the VM is destroyed",
  });
  expect(judged.find(({ id }) => id === "built")?.realisedGain).toBe(gainOf(2));
  expect(await judgeActions(records, minutes(62))).toEqual([]);
  const kept = await records.select({ effect: actions.effect }).from(actions);
  expect(kept.filter(({ effect }) => effect === null)).toEqual([]);
});
