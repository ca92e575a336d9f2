import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Vm } from "@queztl/hypervisor/node";
import { openImage } from "@queztl/images/node";
import { defineBench } from "./src/index.ts";
import { QemuTemplate } from "./src/qemu-restore.ts";

const VMS = 20;
const MEMORY_MIB = 256;
/** By then the monitors have come to rest and given back what compiling took. */
const SETTLED_MS = 40_000;

/** MiB of a process that no other shares; `guest`: those that are the guest's own pages. */
function privateMemory(pid: number): { readonly all: number; readonly guest: number } {
  let [all, guest, ofGuest] = [0, 0, false];
  for (const line of readFileSync(`/proc/${pid}/smaps`, "latin1").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ofGuest = /memory\.snapshot|base\.snapshot/.test(line);
    const kib = Number(/^Private_Dirty: +(\d+) kB/.exec(line)?.[1] ?? 0);
    all += kib / 1024;
    if (ofGuest) guest += kib / 1024;
  }
  return { all, guest };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Makes them one after the other, each with a command run, and waits until they are idle. */
async function idleVms(measure: (pids: readonly number[]) => number): Promise<number> {
  const vms: Vm[] = [];
  try {
    for (let i = 0; i < VMS; i++) {
      const vm = await Vm.create({ memoryMib: MEMORY_MIB });
      vms.push(vm);
      await vm.exec(["true"]);
    }
    await sleep(SETTLED_MS);
    return measure((await Promise.all(vms.map((vm) => vm.inspect()))).map(({ pid }) => pid ?? 0));
  } finally {
    await Promise.all(vms.map((vm) => vm.destroy()));
  }
}

/** The same number of QEMU's, all of whose guest's pages are their own. */
async function idleQemus(): Promise<number> {
  const { kernel, initramfs } = await openImage("base");
  const template = new QemuTemplate({
    kernel: kernel.path,
    initramfs: initramfs.path,
    commandLine: "console=ttyS0 cryptomgr.notests=1",
    memoryMib: MEMORY_MIB,
  });
  const machines: Awaited<ReturnType<QemuTemplate["start"]>>[] = [];
  try {
    await template.build();
    for (let i = 0; i < VMS; i++) machines.push(await template.start());
    return mean(machines.map(({ pid }) => privateMemory(pid).all));
  } finally {
    for (const machine of machines) await machine.end();
    template.remove();
  }
}

const peers = [
  {
    name: "qemu tcg, from a migration file",
    needs: { debian: ["qemu-system-x86"] },
    measure: idleQemus,
  },
];

export default defineBench({
  summary: `private memory of each of ${VMS} idle VMs of ${MEMORY_MIB} MiB made of one template`,
  rounds: 1,
  cases: [
    {
      name: "all that is its own",
      unit: "MiB",
      better: "lower",
      ours: {
        name: "queztl",
        measure: () => idleVms((pids) => mean(pids.map((pid) => privateMemory(pid).all))),
      },
      peers,
    },
    {
      name: "without the guest's own pages",
      unit: "MiB",
      better: "lower",
      ours: {
        name: "queztl",
        measure: () =>
          idleVms((pids) =>
            mean(pids.map((pid) => privateMemory(pid).all - privateMemory(pid).guest)),
          ),
      },
      peers: [],
    },
  ],
});
