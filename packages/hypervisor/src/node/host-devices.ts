import { stat } from "node:fs/promises";
import { HostMemory } from "@queztl/memory/node";
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  FramedStreamNetwork,
  NetDevice,
  OverlayDisk,
  Qcow2Disk,
  RawDisk,
  Switch,
  UserNetwork,
} from "@queztl/virtio";
import type { BlockBackend, Network, TerminalSize } from "@queztl/virtio";
import {
  NodeFile,
  connectStream,
  listenStreams,
  nodeInflate,
  nodeSockets,
} from "@queztl/virtio/node";
import { hypervisorError } from "../errors.ts";
import type { DeviceFactory } from "../machine-options.ts";
import type { DiskArgument, NetworkArgument, SwitchArgument } from "./device-arguments.ts";
import { ratedNetwork } from "./rated-network.ts";

const MAC = "52:54:00:12:34:56";

/** A file as a virtio disk. */
export function disk(argument: DiskArgument): DeviceFactory {
  return async ({ clock }) => new BlockDevice({ backend: await openDisk(argument), clock });
}

async function openDisk(argument: DiskArgument): Promise<BlockBackend> {
  const { path, format = "raw", overlay } = argument;
  await checkKind("the disk", path);
  const readOnly = argument.readOnly || overlay !== undefined;
  const open: NodeFile[] = [];
  const file = async (...args: Parameters<typeof NodeFile.open>): Promise<NodeFile> => {
    const opened = await NodeFile.open(...args);
    open.push(opened);
    return opened;
  };
  try {
    const main = await file(path, { readOnly });
    const base =
      format === "qcow2"
        ? await Qcow2Disk.open(main, { readOnly, inflate: nodeInflate })
        : await RawDisk.open(main, { readOnly });
    if (overlay === undefined) return base;
    return await OverlayDisk.open({
      base,
      file: await file(overlay, { create: { size: base.capacity } }),
      map: await file(`${overlay}.map`, { create: { size: 512 } }),
    });
  } catch (error) {
    await Promise.all(open.map((each) => each.close()));
    throw error;
  }
}

/**
 * A virtio network card on a user-mode network, or on a switch of several machines.
 * @param bytesPerSecond what it may send, and receive, in a second; default as much as it can.
 */
export function network(
  argument: NetworkArgument | SwitchArgument,
  bytesPerSecond?: number,
): DeviceFactory {
  return async (host) => {
    const { clock, entropy } = host;
    let mac = argument.mac ?? MAC;
    let network: Network;
    let end: () => void;
    if ("switch" in argument) {
      // Not the machine's entropy: two machines that repeat the same run have to differ in this.
      if (argument.mac === undefined) mac = randomMac();
      ({ network, end } = await joinSwitch(argument));
    } else {
      const { forwards, allow = [], deny = [] } = argument;
      const user = await UserNetwork.open({
        clock,
        entropy,
        sockets: nodeSockets(),
        access: { allow, deny },
        forwards: forwards.map((forward) => ({ protocol: "tcp", ...forward })),
      });
      network = user;
      end = () => user.close();
    }
    try {
      const link =
        bytesPerSecond === undefined ? network : ratedNetwork(network, bytesPerSecond, clock);
      const device = new NetDevice({ network: link, mac });
      const close = async (): Promise<void> => {
        await NetDevice.prototype.close.call(device);
        end();
      };
      return Object.assign(device, { close });
    } catch (error) {
      end();
      throw error;
    }
  };
}

async function joinSwitch({
  switch: place,
}: SwitchArgument): Promise<{ network: Network; end: () => void }> {
  if ("connect" in place) {
    const stream = await connectStream({ path: place.connect });
    return { network: new FramedStreamNetwork(stream), end: () => undefined };
  }
  const lan = new Switch();
  const end = await listenStreams(place.listen, (stream) => {
    const leave = lan.uplink(new FramedStreamNetwork(stream, undefined, () => leave()));
  });
  return { network: lan, end };
}

/** A locally administered address. */
function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = 0x52;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** A virtio terminal, the guest's hvc0; `connected` gets what it takes to type into it. */
export function terminal(options: {
  readonly output: (bytes: Uint8Array) => boolean;
  readonly size?: TerminalSize | undefined;
  readonly onDrain: () => void;
  readonly connected: (console: ConsoleDevice) => void;
}): DeviceFactory {
  return () => {
    const { output, size, onDrain, connected } = options;
    const console = new ConsoleDevice({
      ports: [{ name: "console", onOutput: output, onDrain }],
      ...(size && { size }),
    });
    connected(console);
    return console;
  };
}

/** A balloon through which free memory of the guest goes back to this computer, where that can be. */
export const balloon: DeviceFactory = async ({ memory, clock }) => {
  const host = await HostMemory.open(memory);
  return new BalloonDevice({
    clock,
    // What is not RAM is not ours to give.
    discard: (address, length) => {
      if (memory.offsetOf(address, length) >= 0) host.discard(address, length);
    },
  });
};

/** Refuses what is no file before it is opened: reading a pipe or a terminal could wait for ever. */
export async function checkKind(what: string, path: string): Promise<void> {
  let stats;
  try {
    stats = await stat(path);
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
  if (stats.isFile() || stats.isBlockDevice()) return;
  const reason = stats.isDirectory() ? "it is a folder" : "it is no file";
  throw hypervisorError("QZ_HYPERVISOR_FILE", { what, path, reason });
}

/** A file that cannot be read, with the host's reason in words. */
export function unreadable(what: string, path: string, cause: unknown): Error {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EPERM: "permission denied",
    ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB",
  };
  return hypervisorError(
    "QZ_HYPERVISOR_FILE",
    { what, path, reason: reasons[code] ?? code },
    { cause },
  );
}
