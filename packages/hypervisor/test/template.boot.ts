import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isQueztlError } from "@queztl/errors";
import { queztlHome } from "@queztl/images/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { StandbyPool, TemplateStore, Vm } from "../src/node/index.ts";
import type { TemplateProgress } from "../src/node/index.ts";
import { processesOf } from "./kill-storm.ts";

/** A home of its own, with the images of this computer. */
let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "queztl-template-boot-"));
  symlinkSync(join(queztlHome(), "images"), join(home, "images"));
});
afterAll(() => rmSync(home, { recursive: true }));

const SIZE = { memoryMib: 256, network: {} };
/** What must differ from VM to VM: names and addresses, and random numbers of the kernel and of a new program. */
const IDENTITY = `hostname; cat /etc/machine-id; cat /sys/class/net/eth0/address
head -c 16 /dev/urandom | md5sum; cat /proc/sys/kernel/random/uuid; awk 'BEGIN { srand(); print rand() }'; date +%s`;

async function identityOf(vm: Vm): Promise<string[]> {
  const { stdout, stderr } = await vm.exec(["sh", "-c", IDENTITY]);
  expect(stderr).toBe("");
  const lines = stdout.trim().split("\n");
  expect(lines).toHaveLength(7);
  expect(lines[0]).toBe(vm.id);
  expect(Math.abs(Number(lines[6]) - Date.now() / 1000)).toBeLessThan(30);
  return lines.slice(0, 5);
}

/** No line of any two is the same. */
function expectAllDifferent(identities: readonly (readonly string[])[]): void {
  for (let line = 0; line < 5; line++)
    expect(new Set(identities.map((identity) => identity[line])).size).toBe(identities.length);
}

test("several creators at once → one template; VMs with clocks, names, addresses and random numbers of their own", async () => {
  const steps: TemplateProgress["step"][] = [];
  const onProgress = ({ step }: { step: string }): void => {
    if (step === "boot" || step === "save") steps.push(step);
  };
  const vms = await Promise.all(
    Array.from({ length: 3 }, () => Vm.create({ home, ...SIZE, onProgress })),
  );
  expect(steps).toEqual(["boot", "save"]);
  expectAllDifferent(await Promise.all(vms.map(identityOf)));
  const templates = await new TemplateStore(home).list();
  expect(templates.map(({ record, links }) => [record.name, links])).toEqual([["base", 3]]);
  // Removed under them: they hold what they need.
  expect(await new TemplateStore(home).prune({ maxBytes: 0 })).toHaveLength(1);
  expect((await vms[0]?.exec(["sh", "-c", "find / -xdev | wc -l"]))?.status).toBe(0);
  for (const vm of vms) await vm.destroy();
});

test("a running VM forked, and its fork → memory, files and time go on in each, on its own", async () => {
  await using parent = await Vm.create({ home, ...SIZE });
  await parent.exec([
    "sh",
    "-c",
    "echo parent > /tmp/who; dd if=/dev/urandom of=/tmp/big bs=1M count=4",
  ]);
  const digest = (await parent.exec(["md5sum", "/tmp/big"])).stdout;
  await parent.spawn(["sleep", "1000"], { persist: "sleeper" });
  await using child = await parent.fork({ labels: { of: parent.id } });
  await using grandchild = await child.fork();
  for (const [vm, who] of [[parent, "one"], [child, "two"], [grandchild, "three"]] as const) {
    expect((await vm.exec(["cat", "/tmp/who"])).stdout).toBe("parent\n");
    expect((await vm.exec(["md5sum", "/tmp/big"])).stdout).toBe(digest);
    await vm.exec(["sh", "-c", `echo ${who} > /tmp/who`]);
    expect((await vm.exec(["sh", "-c", "ps | grep -c '[s]leep 1000'"])).stdout).toBe("1\n");
  } // prettier-ignore
  expect((await parent.exec(["cat", "/tmp/who"])).stdout).toBe("one\n");
  expect((await grandchild.exec(["cat", "/tmp/who"])).stdout).toBe("three\n");
  expectAllDifferent(await Promise.all([parent, child, grandchild].map(identityOf)));
  // Both forks lie on the template's file.
  const place = (vm: Vm): string => join(home, "vms", vm.id, "origin");
  const inode = statSync(join(place(parent), "memory.snapshot")).ino;
  for (const vm of [child, grandchild]) {
    expect(statSync(join(place(vm), "base.snapshot")).ino).toBe(inode);
    expect(statSync(join(place(vm), "memory.snapshot")).blocks * 512).toBeLessThan(64e6);
  }
});

test("a machine that stands by → the VM that goes on with it is one of its own, and can be forked", async () => {
  await using cold = await Vm.create({ home, ...SIZE });
  const { pid } = await cold.exec(["true"]);
  await using pool = await StandbyPool.open({ home, ...SIZE, size: 1 });
  await pool.whenReady();
  await using warm = await Vm.create({ home, ...SIZE, limits: { diskBytes: 2 ** 20 } });
  // The commands that warmed it up are in its past.
  expect((await warm.exec(["true"])).pid).toBeGreaterThanOrEqual(pid + 8);
  await warm.exec(["sh", "-c", "echo here > /tmp/file"]);
  await using child = await warm.fork();
  expect((await child.exec(["cat", "/tmp/file"])).stdout).toBe("here\n");
  expectAllDifferent(await Promise.all([cold, warm, child].map(identityOf)));
  const [origin, base] = [`${warm.id}/origin/memory.snapshot`, `${child.id}/origin/base.snapshot`];
  expect(statSync(join(home, "vms", base)).ino).toBe(statSync(join(home, "vms", origin)).ino);
});

test("a machine that stands by is killed while a VM takes it → a VM, or a coded error, and nothing left", async () => {
  const pool = await StandbyPool.open({ home, ...SIZE, size: 1 });
  const ends: string[] = [];
  for (const ms of [0, 10, 20, 40, 80, 160]) {
    await pool.whenReady();
    const [pid] = processesOf(join(home, "standby"));
    const making = Vm.create({ home, ...SIZE }).then(
      async (vm) => {
        await vm.exec(["true"]).catch(() => undefined);
        // A process that was killed is there until its memory is given back.
        let { state } = await vm.inspect();
        for (; state === "starting"; { state } = await vm.inspect()) await sleep(20);
        return state;
      },
      (error: unknown) => (isQueztlError(error) ? error.code : String(error)),
    );
    await sleep(ms);
    process.kill(pid as number, "SIGKILL");
    ends.push(await making);
  }
  await pool.close();
  console.log(ends.join(", "));
  const known = ["running", "crashed", "QZ_HYPERVISOR_VM_START"];
  expect(ends.filter((end) => !known.includes(end))).toEqual([]);
  for (const { id } of await Vm.list({ home })) {
    // One that was killed is booted.
    const vm = await Vm.open(id, { home });
    if ((await vm.inspect()).state === "crashed") await vm.start();
    expect((await vm.exec(["true"])).status).toBe(0);
    await vm.destroy();
  }
  expect(readdirSync(join(home, "vms"))).toEqual([]);
  expect(readdirSync(join(home, "standby"))).toEqual([]);
  expect(processesOf(home)).toEqual([]);
});

test("processes that stand by → taken by VMs of any size, refilled; gone with the pool", async () => {
  const standing = (): string[] => readdirSync(join(home, "standby"));
  const pool = await StandbyPool.open({ home, ...SIZE, size: 1 });
  await pool.whenReady();
  const [before] = standing();
  expect(before).toMatch(/^ready-/);
  await using vm = await Vm.create({ home, memoryMib: 128 });
  await pool.whenReady();
  expect(standing()).toHaveLength(1);
  expect(standing()).not.toContain(before);
  expect((await vm.exec(["true"])).status).toBe(0);
  const program = readFileSync(`/proc/${(await vm.inspect()).pid}/cmdline`, "latin1");
  // The first template of that size was built by one, and the VM started by the next.
  expect(program).toContain("--standby");
  await pool.close();
  expect(standing()).toEqual([]);
  expect((await vm.exec(["true"])).status).toBe(0);
});
