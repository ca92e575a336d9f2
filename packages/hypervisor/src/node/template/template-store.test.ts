import { cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync, chmodSync } from "node:fs"; // prettier-ignore
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Machine } from "../../machine.ts";
import { COUNT, FLAT, SCRATCH, program } from "../../testing/tiny-kernel.ts";
import { restoreMachine, saveMachine } from "../snapshot-folder.ts";
import { TemplateStore } from "./template-store.ts";
import type { TemplateProgress, TemplateRecipe } from "./template-store.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "queztl-templates-"));
});
afterEach(() => rmSync(home, { recursive: true }));

const options = { kernel: program(COUNT), flat: FLAT, memoryMib: 2 };
const hidden = (): string[] =>
  readdirSync(join(home, "templates")).filter((name) => name.startsWith("."));

/** A recipe whose builds are counted. */
function counter(name = "tiny", inputs: TemplateRecipe["inputs"] = { memoryMib: 2 }) {
  const recipe = {
    name,
    inputs,
    builds: 0,
    async build(folder: string, { onProgress }: { onProgress: (p: TemplateProgress) => void }) {
      recipe.builds++;
      onProgress({ step: "boot" });
      await using machine = await Machine.create(options);
      machine.start();
      await machine.pause();
      await saveMachine(machine, folder);
      return ["machine.json", "memory.snapshot"];
    },
  };
  return recipe;
}

test("a recipe → built once, found by others, and machines made of it", async () => {
  const recipe = counter();
  const steps: string[] = [];
  const onProgress = ({ step }: TemplateProgress): number => steps.push(step);
  const template = await new TemplateStore(home).ensure(recipe, { onProgress });
  expect(steps).toEqual(["boot", "verify"]);
  expect(template.id).toMatch(/^tiny-[0-9a-f]{16}$/);
  const again = await new TemplateStore(home).ensure(recipe);
  expect([again.id, recipe.builds]).toEqual([template.id, 1]);
  const counts: number[] = [];
  for (let i = 0; i < 2; i++) {
    await using machine = await restoreMachine(again.folder, options);
    counts.push(machine.memory.readUint32(SCRATCH));
    machine.start();
    await machine.pause();
  }
  expect(counts[0]).toBe(counts[1]);
  expect(statSync(join(template.folder, "memory.snapshot")).mode & 0o222).toBe(0);
});

test("other inputs → another template; names that are no folders → refused", async () => {
  const store = new TemplateStore(home);
  const ids = new Set<string>();
  for (const inputs of [{ memoryMib: 2 }, { memoryMib: 3 }, { memoryMib: "2" }, { cpus: 2 }])
    ids.add((await store.ensure(counter("tiny", inputs))).id);
  expect(ids.size).toBe(4);
  expect((await store.find({ name: "tiny", inputs: { cpus: 2 } }))?.record.inputs).toEqual({
    cpus: 2,
  });
  for (const name of ["", "..", "a/b", "A", ".x"])
    await expect(store.ensure(counter(name))).rejects.toThrow(
      expect.toSatisfy((error) => isQueztlError(error, "QZ_HYPERVISOR_OPTIONS")),
    );
});

test("many that ask at once → one builds, the others wait for it", async () => {
  const recipe = counter();
  let waited = 0;
  const onProgress = ({ step }: TemplateProgress): void => void (step === "wait" && waited++);
  const templates = await Promise.all(
    Array.from({ length: 6 }, () => new TemplateStore(home).ensure(recipe, { onProgress })),
  );
  expect(new Set(templates.map(({ id }) => id)).size).toBe(1);
  expect([recipe.builds, waited]).toEqual([1, 5]);
});

test("a build that fails or is given up → nothing is left, and the next one builds", async () => {
  const store = new TemplateStore(home);
  const recipe = counter();
  const failing = { ...recipe, build: () => Promise.reject(new Error("no kernel")) };
  await expect(store.ensure(failing)).rejects.toThrow("no kernel");
  const full = { ...recipe, build: () => Promise.reject(Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC" })) }; // prettier-ignore
  await expect(store.ensure(full)).rejects.toThrow(
    expect.toSatisfy((error) => isQueztlError(error, "QZ_HYPERVISOR_TEMPLATE")),
  );
  const abort = new AbortController();
  const given = {
    ...recipe,
    build: (_folder: string, { signal }: { signal?: AbortSignal }) => {
      abort.abort(new Error("enough"));
      signal?.throwIfAborted();
      return Promise.resolve([]);
    },
  };
  await expect(store.ensure(given, { signal: abort.signal })).rejects.toThrow("enough");
  expect(hidden()).toEqual([".locks"]);
  await store.ensure(recipe);
  expect(recipe.builds).toBe(1);
});

test("an altered template → built anew; one that was only copied → read and used", async () => {
  const store = new TemplateStore(home);
  const recipe = counter();
  const { folder } = await store.ensure(recipe);
  cpSync(folder, `${folder}.copy`, { recursive: true });
  rmSync(folder, { recursive: true });
  cpSync(`${folder}.copy`, folder, { recursive: true });
  const steps: string[] = [];
  const onProgress = ({ step }: TemplateProgress): number => steps.push(step);
  await store.ensure(recipe, { onProgress });
  await store.ensure(recipe, { onProgress });
  expect([recipe.builds, steps]).toEqual([1, ["verify", "verify"]]);

  const path = join(folder, "machine.json");
  chmodSync(path, 0o644);
  const { size } = statSync(path);
  writeFileSync(path, "x".repeat(size));
  await store.ensure(recipe);
  rmSync(join(folder, "memory.snapshot"));
  await store.ensure(recipe);
  writeFileSync(join(folder, "template.json"), "{}");
  await store.ensure(recipe);
  expect(recipe.builds).toBe(4);
});

test("pruning → the old and the least used go, with what killed builders left; links hold", async () => {
  const store = new TemplateStore(home);
  const made = [];
  for (const [i, name] of ["first", "second", "third"].entries()) {
    const template = await store.ensure(counter(name));
    made.push(template);
    const used = new Date(Date.now() - (3 - i) * 60_000);
    utimesSync(join(template.folder, "template.json"), used, used);
  }
  const machine = join(home, "vm.snapshot");
  linkSync(join(made[0]?.folder ?? "", "memory.snapshot"), machine);
  for (const [name, age] of [[".a.partial", 7200], [".b.partial", 60]] as const) {
    mkdirSync(join(home, "templates", name));
    const then = new Date(Date.now() - age * 1000);
    utimesSync(join(home, "templates", name), then, then);
  } // prettier-ignore
  const list = await store.list();
  expect(list.map(({ record, links }) => [record.name, links])).toEqual([
    ["third", 0],
    ["second", 0],
    ["first", 1],
  ]);
  const bytes = list[0]?.bytes ?? 0;
  expect(bytes).toBeGreaterThan(4096);
  expect((await store.prune({ unusedMs: 150_000 })).map((t) => t.record.name)).toEqual(["first"]);
  expect((await store.prune({ maxBytes: bytes })).map((t) => t.record.name)).toEqual(["second"]);
  expect((await store.list()).map((t) => t.record.name)).toEqual(["third"]);
  expect(existsSync(machine)).toBe(true);
  expect(hidden().sort()).toEqual([".b.partial", ".locks"]);
  expect(await store.remove("third")).toBe(false);
  expect(await store.remove("../templates")).toBe(false);
});
