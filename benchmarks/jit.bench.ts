import { StandbyPool, Vm } from "@queztl/hypervisor/node";
import { openImage } from "@queztl/images/node";
import { defineBench } from "./src/index.ts";
import type { Subject } from "./src/index.ts";
import { QemuTemplate } from "./src/qemu-restore.ts";

const MEMORY_MIB = 256;
/** What the forked guest has written since it was made. */
const WRITTEN_MIB = 32;

let qemuTemplate: QemuTemplate | undefined;

/** The same kernel and initramfs, saved at its shell's prompt; its first command is typed at the console. */
const qemu: Subject = {
  name: "qemu tcg, from a migration file",
  needs: { debian: ["qemu-system-x86"] },
  async setup() {
    const { kernel, initramfs } = await openImage("base");
    qemuTemplate = new QemuTemplate({
      kernel: kernel.path,
      initramfs: initramfs.path,
      commandLine: "console=ttyS0 cryptomgr.notests=1",
      memoryMib: MEMORY_MIB,
    });
    await qemuTemplate.build();
  },
  async measure() {
    const machine = await qemuTemplate?.start();
    await machine?.end();
    return machine?.ms ?? Number.NaN;
  },
  teardown: () => qemuTemplate?.remove(),
};

/** Milliseconds from asking for a VM to the output of its first command. */
async function firstOutput(make: () => Promise<Vm>): Promise<number> {
  const started = performance.now();
  const vm = await make();
  try {
    const { stdout } = await vm.exec(["echo", "qz42"]);
    if (stdout !== "qz42\n") throw new Error(`the guest said ${JSON.stringify(stdout)}`);
    return performance.now() - started;
  } finally {
    await vm.destroy();
  }
}

const create = (): Promise<Vm> => Vm.create({ memoryMib: MEMORY_MIB });

let pool: StandbyPool | undefined;
const openPool = async (): Promise<void> => {
  pool = await StandbyPool.open({ memoryMib: MEMORY_MIB, size: 1 });
};
const closePool = async (): Promise<void> => await pool?.close();

let parent: Vm | undefined;
const openParent = async (): Promise<void> => {
  await openPool();
  parent = await create();
  const write = `dd if=/dev/zero bs=1M count=${WRITTEN_MIB} | tr '\\0' x > /tmp/written`;
  await parent.exec(["sh", "-c", write]);
};
const closeParent = async (): Promise<void> => {
  await closePool();
  await parent?.destroy();
};
const fork = async (): Promise<Vm> => {
  if (!parent) throw new Error("there is nothing to fork");
  return await parent.fork();
};

export default defineBench({
  summary:
    "a VM from nothing to its first command's output, from a template, and forks of one that runs",
  rounds: 50,
  cases: [
    {
      name: "create → first output, a process standing by",
      unit: "ms",
      better: "lower",
      tails: true,
      ours: {
        name: "Vm.create",
        setup: openPool,
        async measure() {
          await pool?.whenReady();
          return await firstOutput(create);
        },
        teardown: closePool,
      },
      peers: [qemu],
    },
    {
      name: "create → first output, a new process",
      unit: "ms",
      better: "lower",
      tails: true,
      ours: { name: "Vm.create", measure: () => firstOutput(create) },
      peers: [qemu],
    },
    {
      name: `fork of a VM that wrote ${WRITTEN_MIB} MiB → it runs, a process standing by`,
      unit: "ms",
      better: "lower",
      tails: true,
      ours: {
        name: "vm.fork",
        setup: openParent,
        async measure() {
          await pool?.whenReady();
          const started = performance.now();
          const vm = await fork();
          const ms = performance.now() - started;
          await vm.destroy();
          return ms;
        },
        teardown: closeParent,
      },
      peers: [],
    },
    {
      name: "the same → its first output",
      unit: "ms",
      better: "lower",
      tails: true,
      ours: {
        name: "vm.fork",
        setup: openParent,
        async measure() {
          await pool?.whenReady();
          return await firstOutput(fork);
        },
        teardown: closeParent,
      },
      peers: [],
    },
  ],
});
