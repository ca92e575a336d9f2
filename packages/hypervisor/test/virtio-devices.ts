import { HostMemory } from "@queztl/memory/node";
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  MemoryFile,
  NetDevice,
  RawDisk,
  RngDevice,
  UserNetwork,
} from "@queztl/virtio";
import type { BlockBackend, Network, UserNetworkOptions } from "@queztl/virtio";
import { NodeFile, nodeSockets } from "@queztl/virtio/node";
import { ConsoleChannel } from "../src/agent/channel.ts";
import type { DeviceFactory } from "../src/machine-options.ts";

/** Bytes of the guest's second disk, `/dev/vdb`, unless a test brings its own. */
export const SCRATCH_BYTES = 256 << 20;

/** What a test puts behind the devices of a guest. */
export interface VirtioGuestParts {
  /** Behind `/dev/vdb`; a restored guest must get one of the same size. Default: empty, in memory. */
  readonly scratch?: BlockBackend;
  /** Behind `eth0`; default: a NAT that may reach the host's loopback. */
  readonly network?: Network;
  readonly user?: Partial<UserNetworkOptions>;
  /** Takes what the guest writes to `/dev/hvc0`. */
  readonly onTerminal?: (bytes: Uint8Array) => void;
  readonly onSerial?: (bytes: Uint8Array) => void;
}

/** The devices of one guest. */
export class VirtioDevices {
  readonly agent = new ConsoleChannel();
  readonly faults: Error[] = [];
  readonly events = {
    onDeviceFault: (device: string, cause: Error): void =>
      void this.faults.push(new Error(device, { cause })),
  };
  readonly factories: readonly DeviceFactory[];
  scratch!: BlockDevice;
  net!: NetDevice;
  console!: ConsoleDevice;
  balloon!: BalloonDevice;
  user: UserNetwork | undefined;

  /** @param root path of the disk that is the guest's root, which is not written to. */
  constructor(root: string, parts: VirtioGuestParts) {
    this.factories = [
      async ({ clock }) => {
        const file = await NodeFile.open(root, { readOnly: true });
        return new BlockDevice({ backend: await RawDisk.open(file), clock });
      },
      async ({ clock }) => {
        const backend = parts.scratch ?? (await RawDisk.open(new MemoryFile(SCRATCH_BYTES)));
        return (this.scratch = new BlockDevice({ backend, clock }));
      },
      async ({ clock, entropy }) => {
        const mac = "52:54:00:00:00:01";
        if (parts.network) return (this.net = new NetDevice({ network: parts.network, mac }));
        const access = { allow: ["127.0.0.1"] };
        const options = { clock, entropy, sockets: nodeSockets(), access, ...parts.user };
        const network = (this.user = await UserNetwork.open(options));
        return (this.net = new NetDevice({ network, mac }));
      },
      () => {
        const onOutput = parts.onTerminal ?? (() => undefined);
        const console = new ConsoleDevice({
          ports: [{ name: "console", onOutput }, this.agent.port],
        });
        this.agent.connect(console);
        return (this.console = console);
      },
      () => new RngDevice(),
      async ({ memory, clock }) => {
        const host = await HostMemory.open(memory);
        const discard = (address: number, length: number): void => {
          if (memory.offsetOf(address, length) >= 0) host.discard(address, length);
        };
        return (this.balloon = new BalloonDevice({ discard, clock }));
      },
    ];
  }
}
