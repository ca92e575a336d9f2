import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { PreparedCommand } from "@queztl/images";
import type { Image } from "@queztl/images/node";
import { AgentClient } from "../../agent/client.ts";
import { hypervisorError } from "../../errors.ts";
import { MACHINE_SNAPSHOT_VERSION } from "../../machine-snapshot.ts";
import { shareFile } from "../snapshot-folder.ts";
import { socketChannel } from "../socket-channel.ts";
import { ControlClient } from "../vm/control-client.ts";
import { createFolder } from "../vm/create-folder.ts";
import { destroyVm } from "../vm/destroy.ts";
import { launchMonitor } from "../vm/launch.ts";
import type { VmConfig } from "../vm/vm-config.ts";
import type { VmFolder } from "../vm/vm-folder.ts";
import type {
  BuildTemplateOptions,
  Template,
  TemplateRecipe,
  TemplateSummary,
} from "./template-store.ts";

/** The sizes in which VMs are made of templates: few, so that each template serves many. */
export const TEMPLATE_SIZES: {
  readonly memoryMib: readonly number[];
  readonly cpus: readonly number[];
} = {
  memoryMib: [128, 256, 512, 1024, 2048, 3072, 3584],
  cpus: [1, 2, 4, 8],
};

/** Raise it when what templates hold changes in a way that their inputs do not show. */
const FORMAT = 1;
/** A build that takes longer is given up; also by its VM, when who began it is gone. */
const LONGEST_BUILD_S = 1800;
const ABANDONED_S = 20;
const BUILD_ID = "template";

/**
 * What a template for VMs of a configuration is made of; undefined where the VM is to be booted: a size of its own, a
 * run that repeats, more disks than the image's, a network with other VMs, or files instead of an image.
 */
export function vmTemplateRecipe(
  config: VmConfig,
  image: Image | undefined,
): TemplateRecipe | undefined {
  const { memoryMib, cpus, seed } = config.machine;
  if (image === undefined || seed !== undefined) return undefined;
  if (!TEMPLATE_SIZES.memoryMib.includes(memoryMib) || !TEMPLATE_SIZES.cpus.includes(cpus))
    return undefined;
  if (config.disks.length !== (image.disk ? 1 : 0) || config.drives > 0) return undefined;
  if (config.network && "switch" in config.network) return undefined;
  return {
    name: image.name,
    inputs: {
      format: FORMAT,
      snapshot: MACHINE_SNAPSHOT_VERSION,
      engine: "emulator",
      kernel: image.kernel.sha256,
      initramfs: image.initramfs.sha256,
      disk: image.disk?.sha256 ?? "",
      commandLine: config.kernel.commandLine,
      warmUp: JSON.stringify(image.warmUp),
      prepared: JSON.stringify(image.prepared),
      memoryMib,
      cpus,
      network: config.network !== undefined,
    },
    build: (folder, options) => buildVmTemplate(config, image, folder, options),
  };
}

/** Brings what a VM needs of its template into its folder, so that it needs the template no more. */
export async function shareTemplate(
  template: Pick<Template | TemplateSummary, "folder" | "record">,
  folder: string,
): Promise<void> {
  for (const { name } of template.record.files) {
    const place = join(folder, name);
    await mkdir(dirname(place), { recursive: true, mode: 0o700 });
    await shareFile(join(template.folder, name), place);
  }
}

/** Boots a VM in a process of its own, warms it up, and leaves its snapshot. */
async function buildVmTemplate(
  config: VmConfig,
  image: Image,
  folder: string,
  options: BuildTemplateOptions,
): Promise<string[]> {
  // A home of its own: nobody else sees the VM, and it goes with the folder.
  const home = join(folder, "build");
  const { network, origin: _, ...rest } = config;
  options.onProgress({ step: "boot" });
  const vmFolder = await createFolder(home, {
    ...rest,
    id: BUILD_ID,
    labels: {},
    // It ends with who builds it, whose console counts as use.
    limits: { lifetimeSeconds: LONGEST_BUILD_S, idleSeconds: ABANDONED_S },
    ...(network && { network: { mac: network.mac, forwards: [] } }),
  });
  try {
    await launchMonitor(vmFolder);
    const snapshot = vmFolder.snapshot(BUILD_ID);
    await warmUpAndSave(vmFolder, image, snapshot, options);
    for (const name of await readdir(snapshot))
      await rename(join(snapshot, name), join(folder, name));
    const files = await readdir(folder, { recursive: true, withFileTypes: true });
    const inFolder = files.filter((file) => file.isFile() && !file.parentPath.startsWith(home));
    return inFolder.map((file) => relative(folder, join(file.parentPath, file.name)));
  } finally {
    await destroyVm(home, vmFolder);
    await rm(home, { recursive: true, force: true });
  }
}

/** Starts a command that waits in the template, and waits until it says that it does. */
async function prepare(agent: AgentClient, image: string, command: PreparedCommand): Promise<void> {
  const { name, argv } = command;
  const waiting = agent.exec(argv, { persist: name });
  const decoder = new TextDecoder();
  let said = "";
  for await (const bytes of waiting.stderr.values({ preventCancel: true })) {
    said += decoder.decode(bytes, { stream: true });
    if (said.endsWith("ready\n")) return;
  }
  const reason = `what is to wait in it as ${name} ended: ${said.trim().slice(-500)}`;
  throw hypervisorError("QZ_HYPERVISOR_TEMPLATE", { name: image, reason });
}

async function warmUpAndSave(
  vmFolder: VmFolder,
  image: Image,
  snapshot: string,
  { signal, onProgress }: BuildTemplateOptions,
): Promise<void> {
  const limits = { timeoutMs: LONGEST_BUILD_S * 1000, ...(signal && { signal }) };
  const control = await ControlClient.connect(vmFolder);
  const watching = await ControlClient.stream(vmFolder, "console", {
    scrollBackBytes: 0,
    input: false,
  });
  watching.resume().on("error", () => undefined);
  try {
    const socket = await ControlClient.stream(vmFolder, "agent", {});
    const agent = await AgentClient.connect(socketChannel(socket), limits);
    // `sync` also brings the agent itself, and how commands are started, into the guest's memory.
    for (const command of [...image.warmUp, ["sync"]]) {
      onProgress({ step: "warm-up", command });
      const { status, stderr } = await agent.run(command, limits);
      if (status === 0) continue;
      const what = `its warm-up command ${command.join(" ").slice(0, 100)}`;
      const reason = `${what} ended with ${status}: ${stderr.trim().slice(-500)}`;
      throw hypervisorError("QZ_HYPERVISOR_TEMPLATE", { name: image.name, reason });
    }
    for (const command of image.prepared) {
      onProgress({ step: "warm-up", command: command.argv });
      await prepare(agent, image.name, command);
    }
    await agent.close();
    onProgress({ step: "save" });
    await control.call("pause", {});
    await control.call("snapshot", { folder: snapshot });
  } finally {
    watching.destroy();
    control.close();
  }
}
