import type { z } from "zod";
import type { consoleGrant } from "../schemas/vm.ts";
import { TICKET_PROTOCOL_PREFIX } from "./frames.ts";

/** What a WebSocket to a console is opened with. */
export interface ConsoleAddress {
  readonly url: string;
  readonly protocols: string[];
}

/**
 * Where and how to open the WebSocket of a grant from `vm.console` or `vm.openExec`:
 * `new WebSocket(url, protocols)`. The ticket travels as a subprotocol because a browser's WebSocket
 * has no headers and addresses end up in logs.
 */
export function consoleAddress(
  serverUrl: string,
  grant: z.output<typeof consoleGrant>,
): ConsoleAddress {
  const url = new URL(serverUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  // Assigned rather than resolved: `//elsewhere/…` as a path must not lead to another host.
  url.pathname = grant.path;
  url.search = "";
  url.hash = "";
  return {
    url: url.href,
    protocols: [grant.protocol, `${TICKET_PROTOCOL_PREFIX}${grant.ticket}`],
  };
}
