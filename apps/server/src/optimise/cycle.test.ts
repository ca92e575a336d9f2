import { afterEach, expect, test } from "vitest";
import { createProcessVms } from "../testing/process-vms.ts";
import { startTestServer, type TestServer } from "../testing/start-test-server.ts";
import type { HostedVm, TemplateSpec, VmHost } from "../vms/vm-host.ts";

let running: TestServer | undefined;
afterEach(() => running?.close());

/** A host that writes down what the cycle asks of it. */
function watched(templates: readonly TemplateSpec[] = []) {
  const asked: { standBy: number[]; prepared: TemplateSpec[]; reclaimed: string[] } = {
    standBy: [],
    prepared: [],
    reclaimed: [],
  };
  const host = (folder: string): VmHost => {
    const vms = createProcessVms(folder);
    return {
      ...vms,
      async create(...given) {
        const vm = await vms.create(...given);
        return Object.assign(vm, {
          reclaim: async () => asked.reclaimed.push(vm.id) * 100,
        } satisfies Partial<HostedVm>);
      },
      standBy: async (count) => void asked.standBy.push(count),
      prepare: async (template) => void asked.prepared.push(template),
      templates: async () => templates,
      pruneTemplates: async () => [{ image: "old", cpu: 1, memoryMib: 256, network: false }],
    };
  };
  return { asked, host };
}

async function startedWith(templates?: readonly TemplateSpec[]) {
  const { asked, host } = watched(templates);
  running = await startTestServer(
    { "optimize.everySeconds": 86_400, "optimize.idleVmMinutes": 0.1 },
    { vmHost: host },
  );
  const { client } = running;
  const round = async (dryRun = false) => {
    const { actions } = await client.brain.optimize.mutate({ dryRun });
    return actions;
  };
  const create = () => client.vm.create.mutate({ cpu: 1, memoryMib: 256 });
  return { asked, client, round, create };
}

test("a dry run → says what would be done, does nothing", async () => {
  const { asked, round, create } = await startedWith();
  await create();
  await create();
  const actions = await round(true);
  expect(actions.map(({ kind, done }) => [kind, done])).toEqual([
    ["standby", false],
    ["template-build", false],
  ]);
  expect(asked).toEqual({ standBy: [], prepared: [], reclaimed: [] });
});

test("a size that is wanted again and has no template → built, with the reason; once there is one → not", async () => {
  const { asked, round, create } = await startedWith();
  await create();
  expect((await round()).map(({ kind }) => kind)).toEqual(["standby", "template-drop"]);
  await create();
  const actions = await round();
  const wanted = { image: "base", cpu: 1, memoryMib: 256, network: true };
  expect(actions.find(({ kind }) => kind === "template-build")).toMatchObject({
    subject: "base/1/256/network",
    reason: expect.stringContaining("2 VMs of base with 1 CPU and 256 MiB and a network"),
    done: true,
  });
  expect(asked).toMatchObject({ standBy: [1], prepared: [wanted] });
  await running?.close();
  const again = await startedWith([wanted]);
  await again.create();
  await again.create();
  expect((await again.round()).map(({ kind }) => kind)).not.toContain("template-build");
});

test("a VM that does nothing → asked for its memory once, when it has been idle long enough", async () => {
  const { asked, round, create } = await startedWith();
  const { id } = await create();
  await round();
  expect(asked.reclaimed).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 6100));
  const [action] = (await round()).filter(({ kind }) => kind === "memory-reclaim");
  expect(action).toMatchObject({ subject: id, value: 100, done: true });
  await round();
  expect(asked.reclaimed).toEqual([id]);
});
