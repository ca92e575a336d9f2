import type { ContractCase, ContractKit } from "./contract-case.ts";

let made = 0;
/** A name that no earlier run on the same server has used. */
const freshName = (word: string) => `${word}-${Date.now().toString(36)}-${(made += 1)}`;

/** Runs with a VM of its own, and destroys it whatever comes. */
async function withVm(kit: ContractKit, run: (vm: string) => Promise<void>): Promise<void> {
  const { id } = await kit.call("vm.create", { name: freshName("vm"), cpu: 1, memoryMib: 256 });
  try {
    await run(id);
  } finally {
    await kit.call("vm.destroy", { vm: id, force: true });
  }
}

/** What every server keeps about VMs. */
export const vmCases: readonly ContractCase[] = [
  {
    name: "vm.create by resources → listed, found by id and by name; destroyed → gone from the list",
    needs: "vm",
    async run({ call, expect }) {
      const name = freshName("vm");
      const ports = [{ guest: 80 }];
      const vm = await call("vm.create", { name, cpu: 1, memoryMib: 256, ports });
      expect(vm).toMatchObject({ name, state: "running", resources: { cpu: 1, memoryMib: 256 } });
      expect(vm.ports).toMatchObject([{ guest: 80, protocol: "tcp", address: "127.0.0.1" }]);
      expect((await call("vm.get", { vm: name })).id).toEqual(vm.id);
      expect((await call("vm.get", { vm: vm.id })).name).toEqual(name);
      const listed = async () => (await call("vm.list", {})).items.some(({ id }) => id === vm.id);
      expect(await listed()).toEqual(true);
      expect((await call("vm.destroy", { vm: name, force: true })).state).toEqual("destroyed");
      expect(await listed()).toEqual(false);
    },
  },
  {
    name: "vm.create by purpose → a size of the brain's choice, with its decision",
    needs: "vm",
    async run({ call, expect }) {
      const vm = await call("vm.create", { purpose: "Process mining data", start: false });
      expect(vm.state).toEqual("stopped");
      expect(vm.decision === null).toEqual(false);
      await call("vm.destroy", { vm: vm.id });
    },
  },
  {
    name: "vm.create with a name that is taken → conflict",
    needs: "vm",
    async run(kit) {
      await withVm(kit, async (vm) => {
        const { name } = await kit.call("vm.get", { vm });
        const again = kit.call("vm.create", { name, cpu: 1, memoryMib: 256 });
        kit.expect((await kit.refusal(again)).status).toEqual("conflict");
      });
    },
  },
  {
    name: "vm.create with a GPU while there is no engine → QZ_API_GPU_UNAVAILABLE",
    async run({ call, refusal, expect }) {
      const answer = call("vm.create", { cpu: 1, memoryMib: 256, gpu: 1 });
      expect(await refusal(answer)).toMatchObject({
        code: "QZ_API_GPU_UNAVAILABLE",
        status: "unavailable",
      });
    },
  },
  {
    name: "vm.create without purpose and resources → QZ_API_INPUT_INVALID that says what to give",
    async run({ call, refusal, expect }) {
      const { code, message } = await refusal(call("vm.create", { cpu: 1 }));
      expect(code).toEqual("QZ_API_INPUT_INVALID");
      expect(message.includes("give a purpose, or cpu and memoryMib")).toEqual(true);
    },
  },
  {
    name: "a VM that there is not → not-found",
    async run({ call, refusal, expect }) {
      const vm = "there-is-no-such-vm";
      expect((await refusal(call("vm.get", { vm }))).status).toEqual("not-found");
      expect((await refusal(call("vm.start", { vm }))).status).toEqual("not-found");
    },
  },
  {
    name: "pause, resume, reset, stop, start → the states they name; pausing what is off → conflict",
    needs: "vm",
    async run(kit) {
      const { call, expect } = kit;
      await withVm(kit, async (vm) => {
        expect((await call("vm.pause", { vm })).state).toEqual("paused");
        expect((await call("vm.resume", { vm })).state).toEqual("running");
        expect((await call("vm.reset", { vm })).state).toEqual("running");
        expect((await call("vm.stop", { vm, graceSeconds: 0 })).state).toEqual("stopped");
        expect((await kit.refusal(call("vm.pause", { vm }))).status).toEqual("conflict");
        expect((await call("vm.start", { vm })).state).toEqual("running");
        expect((await kit.refusal(call("vm.destroy", { vm }))).status).toEqual("conflict");
      });
    },
  },
  {
    name: "snapshot, restore, fork → a snapshot in the list, the same VM, another VM with a parent",
    needs: "vm",
    async run(kit) {
      const { call, expect } = kit;
      await withVm(kit, async (vm) => {
        const { id } = await call("vm.snapshot", { vm, name: "before" });
        const { items } = await call("vm.snapshots", { vm });
        expect(items).toMatchObject([{ id, name: "before", vm }]);
        expect((await call("vm.restore", { vm, snapshot: "before" })).id).toEqual(vm);
        const fork = await call("vm.fork", { vm });
        expect(fork.parent).toEqual(vm);
        await call("vm.destroy", { vm: fork.id, force: true });
        await call("vm.removeSnapshot", { vm, snapshot: id });
        expect((await call("vm.snapshots", { vm })).items).toEqual([]);
      });
    },
  },
  {
    name: "exec, copyTo, copyFrom, logs, stats, console → what a guest does and shows",
    needs: "vm",
    async run(kit) {
      const { call, expect } = kit;
      await withVm(kit, async (vm) => {
        const echo = await call("vm.exec", { vm, command: ["echo", "two words; `not a shell`"] });
        expect(echo).toMatchObject({ exitCode: 0, stdout: "two words; `not a shell`\n" });
        const path = "/root/words.txt";
        const data = btoa("some words");
        expect(await call("vm.copyTo", { vm, path, data })).toEqual({ bytes: 10 });
        const part = await call("vm.copyFrom", { vm, path, offset: 5, length: 3 });
        expect(part).toEqual({ data: btoa("wor"), offset: 5, bytes: 10 });
        expect((await call("vm.logs", { vm, limit: 1 })).items.length <= 1).toEqual(true);
        for await (const { text } of kit.follow("vm.followLogs", { vm })) {
          expect(typeof text).toEqual("string");
          break;
        }
        expect((await call("vm.stats", { vm })).uptimeSeconds >= 0).toEqual(true);
        const grants = [
          await call("vm.console", { vm }),
          await call("vm.openExec", { vm, command: ["cat"] }),
        ];
        expect(grants.map(({ protocol }) => protocol)).toEqual(
          Array.from({ length: 2 }, () => "queztl.console.v1"),
        );
        expect(new Set(grants.map(({ ticket }) => ticket)).size).toEqual(2);
      });
    },
  },
];
