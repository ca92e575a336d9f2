import { hypervisorError } from "../errors.ts";
import { WINDOW } from "./frame.ts";
import { broken } from "./records.ts";
import type { Fields } from "./records.ts";

/** The version of the agent protocol that this client speaks. */
export const AGENT_PROTOCOL = 1;

/** What an agent said of itself. */
export interface AgentInfo {
  /** The agent's own version. */
  readonly version: string;
  readonly capabilities: ReadonlySet<string>;
}

/** @throws QZ_HYPERVISOR_AGENT_VERSION, QZ_HYPERVISOR_AGENT_PROTOCOL */
export function parseHello(fields: Fields): AgentInfo {
  const protocol = fields.needed("protocol");
  const version = (fields.text("agent") ?? "").slice(0, 64);
  if (protocol !== AGENT_PROTOCOL) {
    const details = { version, protocol, expected: AGENT_PROTOCOL };
    throw hypervisorError("QZ_HYPERVISOR_AGENT_VERSION", details);
  }
  if (fields.needed("window") !== WINDOW) throw broken("a window of another size");
  return { version, capabilities: new Set(fields.all("capability").slice(0, 64)) };
}
