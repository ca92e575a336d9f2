import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentClient } from "../../../agent/client.ts";
import { socketChannel } from "../../socket-channel.ts";

/** Two connected sockets. */
export async function socketPair(): Promise<readonly [Socket, Socket]> {
  const folder = mkdtempSync(join(tmpdir(), "queztl-pair-"));
  try {
    const server = createServer();
    const path = join(folder, "socket");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const other = new Promise<Socket>((resolve) => server.once("connection", resolve));
    const socket = connect(path);
    const pair = [socket, await other] as const;
    server.close();
    return pair;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A client of something that serves the agent's protocol on a socket. */
export async function clientOf(hub: { attach(socket: Socket): void }): Promise<AgentClient> {
  const [near, far] = await socketPair();
  hub.attach(far);
  return await AgentClient.connect(socketChannel(near), { timeoutMs: 30_000 });
}
