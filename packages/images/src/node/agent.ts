import { readFile } from "node:fs/promises";
import type { CpioInput } from "@queztl/boot";
import { readDeb } from "../deb.ts";
import { pinnedDebian } from "../debian/pinned-debian.ts";
import { AGENT_PACKAGES, guestAgentFiles, isAgentPart } from "../guest-agent.ts";
import type { DebianPackage } from "../package-index.ts";
import { fetchPackage } from "./fetch-packages.ts";
import type { Fetching } from "./fetch-packages.ts";

/** What the guest agent comes from. */
export interface AgentSource {
  /** The program. */
  readonly script: Uint8Array;
  /**
   * The packages with its interpreter. They belong to the agent, not to the userland: they are the pinned ones also
   * in an image of newer packages.
   */
  readonly packages: readonly DebianPackage[];
}

/** The guest agent that comes with this package. */
export async function readAgent(): Promise<AgentSource> {
  const here = import.meta.resolve("@queztl/images/package.json");
  const script = await readFile(new URL("guest/queztl-agent.pl", here));
  const packages = pinnedDebian("debian").filter(({ name }) => AGENT_PACKAGES.includes(name));
  return { script, packages };
}

/** The files that bring the agent into an initramfs. @throws as `fetchPackage` and `readDeb` */
export async function fetchAgent(agent: AgentSource, fetching: Fetching): Promise<CpioInput[]> {
  const { onProgress, signal } = fetching;
  const parts = new Map<string, Map<string, Uint8Array>>();
  for (const wanted of agent.packages) {
    const deb = await fetchPackage(wanted, fetching);
    onProgress({ step: "unpack", package: wanted.name });
    const files = await readDeb(deb, (path) => isAgentPart(wanted.name, path), { signal });
    parts.set(wanted.name, new Map(files.map(({ path, data }) => [path, data])));
  }
  return guestAgentFiles(agent.script, parts);
}
