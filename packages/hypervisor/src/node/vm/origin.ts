import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { TemplateStore } from "../template/template-store.ts";
import type { TemplateRecipe } from "../template/template-store.ts";
import { shareTemplate } from "../template/vm-template.ts";
import { createFolder, randomMac } from "./create-folder.ts";
import { vmLimitsSchema } from "./vm-config.ts";
import type { VmConfig, VmLimits } from "./vm-config.ts";
import { checkId, systemCode } from "./vm-folder.ts";
import type { VmFolder } from "./vm-folder.ts";
import type { VmOptions } from "./vm-options.ts";

/** What a VM goes on from, in its folder: a snapshot, and the layers of its disks, which never change. */
export const ORIGIN = "origin";

/** How a VM is forked. */
export interface ForkOptions {
  /** The new VM's id, and its host name; default a new one. */
  readonly id?: string;
  /** Kept with it; default none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Default those of the VM it comes from. */
  readonly limits?: VmLimits;
  /** Ports of this computer that lead to it; default none. */
  readonly forwards?: readonly { readonly hostPort: number; readonly guestPort: number }[];
  /** Gives it up; what was made is removed. */
  readonly signal?: AbortSignal;
}

/**
 * Makes the folder of a VM that goes on from the template of a recipe, which is built where there is none.
 * @returns also the template's id
 */
export async function createFromTemplate(
  home: string,
  config: VmConfig,
  recipe: TemplateRecipe,
  options: Pick<VmOptions, "signal" | "onProgress">,
): Promise<{ readonly folder: VmFolder; readonly template: string }> {
  const { signal, onProgress } = options;
  const store = new TemplateStore(home);
  for (let again = false; ; again = true) {
    const template = await store.ensure(recipe, {
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    });
    const origin = { snapshot: ORIGIN, newIdentity: true, template: template.id };
    try {
      const folder = await createFolder(home, { ...config, origin }, async (path) => {
        await shareTemplate(template, join(path, ORIGIN));
      });
      return { folder, template: template.id };
    } catch (error) {
      // Somebody removed it just now.
      if (again || systemCode(error) !== "ENOENT") throw error;
    }
  }
}

/** The configuration of a VM that is another's fork. @throws QZ_HYPERVISOR_OPTIONS for an id */
export function forkConfig(config: VmConfig, options: ForkOptions): VmConfig {
  const { labels = {}, limits = config.limits, forwards = [] } = options;
  const { network, ...rest } = config;
  return {
    ...rest,
    id: checkId(options.id ?? `vm-${randomBytes(5).toString("hex")}`),
    createdAt: new Date().toISOString(),
    labels: { ...labels },
    limits: vmLimitsSchema.parse(limits),
    ...(network && {
      network:
        "switch" in network
          ? { ...network, mac: randomMac() }
          : {
              ...network,
              mac: randomMac(),
              forwards: forwards.map((forward) => ({ protocol: "tcp", ...forward })),
            },
    }),
    origin: { snapshot: ORIGIN, newIdentity: true },
  };
}
