import { closeSync, openSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { basename, join } from "node:path";
import { hypervisorError } from "../../errors.ts";
import type { VmFolder } from "./vm-folder.ts";
import { systemCode } from "./vm-folder.ts";

/** Bytes of a socket's path that every system takes; Linux takes 107. */
const LONGEST_PATH = 103;

/**
 * Connects to the control socket of a VM's folder. A path that is too long for a socket is reached through the
 * folder's descriptor, on Linux.
 * @throws QZ_HYPERVISOR_VM_LOST when nobody listens.
 */
export async function connectControl(folder: VmFolder): Promise<Socket> {
  try {
    return await connectIn(folder.path, basename(folder.socket));
  } catch (cause) {
    const reason = systemCode(cause) ?? String(cause);
    throw hypervisorError("QZ_HYPERVISOR_VM_LOST", { id: folder.id, reason }, { cause });
  }
}

/** Connects to a socket in a folder, however long its path is. @throws the system's errors */
export async function connectIn(folder: string, name: string): Promise<Socket> {
  const whole = join(folder, name);
  let fd: number | undefined;
  try {
    if (Buffer.byteLength(whole) > LONGEST_PATH) fd = openSync(folder, "r");
    const path = fd === undefined ? whole : `/proc/self/fd/${fd}/${name}`;
    return await new Promise<Socket>((resolve, reject) => {
      const socket = connect({ path });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(socket);
      });
    });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
