import { isDeepStrictEqual } from "node:util";
import { isQueztlError } from "@queztl/errors";
import { MAX_CPUS, mostMemoryMib } from "@queztl/hypervisor";
import {
  StandbyPool,
  TEMPLATE_SIZES,
  TemplateStore,
  type TemplateSummary,
  Vm,
  type VmOptions,
} from "@queztl/hypervisor/node";
import { checkPort, freePort } from "./host-ports.ts";
import { HypervisorVm } from "./hypervisor-vm.ts";
import { StandingPool } from "./standing-pool.ts";
import type { HostedVm, StartOptions, TemplateSpec, VmHost, VmSpec } from "./vm-host.ts";

/** VMs of ours carry this label: others in the same home are left alone. */
const OURS = "queztl.server";
const MIB = 1_048_576;

/** VMs of this computer's hypervisor: each in a process of its own that goes on without the server. */
export function createHypervisorHost(home: string): VmHost {
  const templates = new TemplateStore(home);
  const opened = new Set<HypervisorVm>();
  const standing = new StandingPool((size, signal) =>
    StandbyPool.open({ home, size, image: "base", memoryMib: 256, signal }),
  );
  const kept = (vm: HypervisorVm): HypervisorVm => {
    opened.add(vm);
    return vm;
  };
  const context = {
    home,
    make: (spec: VmSpec, options: StartOptions) => makeVm(home, spec, options),
    kept,
  };

  return {
    engines: ["emulator"],
    mostMemoryMib: mostMemoryMib(),
    mostCpu: MAX_CPUS,
    sizes: { memoryMib: TEMPLATE_SIZES.memoryMib, cpu: TEMPLATE_SIZES.cpus },

    async create(spec): Promise<HostedVm> {
      for (const { protocol, address } of spec.ports) checkPort(protocol, address);
      const ports = await Promise.all(
        spec.ports.map(async ({ host, ...port }) => ({
          ...port,
          host: host ?? (await freePort()),
        })),
      );
      return kept(new HypervisorVm({ ...spec, ports }, undefined, context));
    },

    async open(spec) {
      try {
        const vm = await Vm.open(spec.id, { home });
        const hosted = kept(new HypervisorVm(withPorts(spec), vm, context));
        await hosted.refresh();
        return hosted;
      } catch (cause) {
        if (!isQueztlError(cause, "QZ_HYPERVISOR_VM_UNKNOWN")) throw cause;
        // It was made and never started: its record is all there is.
        return spec.started
          ? undefined
          : kept(new HypervisorVm(withPorts(spec), undefined, context));
      }
    },

    async list() {
      const all = await Vm.list({ home });
      return all.filter(({ labels }) => labels[OURS] !== undefined).map(({ id }) => id);
    },
    remove: (id) => Vm.destroy(id, { home }),

    async prepare({ image, cpu, memoryMib, network }, { signal, onProgress }) {
      const vm = await Vm.create({
        home,
        image,
        cpus: cpu,
        memoryMib,
        labels: { [OURS]: "template" },
        ...(network && { network: {} }),
        onProgress: (progress) => onProgress?.(wordsOf(progress)),
        ...(signal && { signal }),
      });
      await vm.destroy();
    },
    async templates() {
      return (await templates.list()).map(specOf);
    },
    async dropTemplate(wanted: TemplateSpec) {
      for (const template of await templates.list()) {
        if (isDeepStrictEqual(specOf(template), wanted)) await templates.remove(template.id);
      }
    },
    async pruneTemplates(unusedMs) {
      return (await templates.prune({ unusedMs })).map(specOf);
    },
    standBy: (count) => standing.resize(count),
    async close() {
      await standing.close();
      await Promise.all([...opened].map((vm) => vm.letGo()));
      opened.clear();
    },
  };
}

function makeVm(home: string, spec: VmSpec, { signal, onProgress }: StartOptions): Promise<Vm> {
  const forwards = spec.ports.map(({ guest, host = 0, protocol }) => ({
    guestPort: guest,
    hostPort: host,
    protocol,
  }));
  return Vm.create({
    home,
    id: spec.id,
    image: spec.image,
    cpus: spec.cpu,
    memoryMib: spec.memoryMib,
    labels: { [OURS]: "1" },
    limits: { diskBytes: spec.diskMib * MIB },
    ...(spec.network && { network: { forwards } }),
    ...(signal && { signal }),
    ...(onProgress && { onProgress: (progress) => onProgress(wordsOf(progress)) }),
  });
}

/** A step as a person reads it. */
function wordsOf(progress: Parameters<NonNullable<VmOptions["onProgress"]>>[0]): string {
  if ("command" in progress) return `${progress.step}: ${progress.command?.join(" ").slice(0, 80)}`;
  if (!("package" in progress)) return progress.step;
  const { step, package: name = "", bytes, totalBytes } = progress;
  const percent =
    bytes === undefined || !totalBytes ? "" : ` ${Math.floor((100 * bytes) / totalBytes)} %`;
  return `${step} ${name}${percent}`.trim();
}

const specOf = ({ record: { name, inputs } }: TemplateSummary): TemplateSpec => ({
  image: name,
  cpu: Number(inputs["cpus"] ?? 0),
  memoryMib: Number(inputs["memoryMib"] ?? 0),
  network: inputs["network"] === true,
});

type Bound = VmSpec & { readonly ports: HostedVm["ports"] };

const withPorts = (spec: VmSpec): Bound => ({
  ...spec,
  ports: spec.ports.map(({ host = 0, ...port }) => ({ ...port, host })),
});
