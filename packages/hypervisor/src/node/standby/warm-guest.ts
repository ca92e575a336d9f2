import { rename } from "node:fs/promises";
import { join } from "node:path";
import { AgentClient } from "../../agent/client.ts";
import { keptOpen } from "../../agent/channel.ts";
import { createGuestMachine } from "../monitor/guest-machine.ts";
import type { GuestMachine, GuestMachineHost } from "../monitor/guest-machine.ts";
import { DISKS, replaceVmDisks } from "../monitor/vm-disks.ts";
import { ORIGIN } from "../vm/origin.ts";
import type { VmConfig } from "../vm/vm-config.ts";
import { nothingThere } from "../vm/vm-folder.ts";

/** Commands run in it: by then what every VM does at its beginning is compiled, and in the guest's memory. */
const WARM_UP_COMMANDS = 8;
const WARM_UP_MS = 60_000;

/** A machine of a template that has run commands and stands still, for a VM that is made of that template. */
export class WarmGuest {
  readonly #config: VmConfig;
  readonly #guest: GuestMachine;
  readonly #host: LaterHost;

  private constructor(config: VmConfig, guest: GuestMachine, host: LaterHost) {
    this.#config = config;
    this.#guest = guest;
    this.#host = host;
  }

  /** Makes one in this process's directory, which has the template under `ORIGIN`. */
  static async make(config: VmConfig): Promise<WarmGuest> {
    const host = new LaterHost();
    await replaceVmDisks(config, ".", ORIGIN);
    // Its path is relative: whoever takes the machine over has the same files there, for its forks.
    const guest = await createGuestMachine(config, ".", host, ORIGIN);
    guest.machine.start();
    try {
      const agent = await AgentClient.connect(keptOpen(guest.agent), { timeoutMs: WARM_UP_MS });
      for (let i = 0; i < WARM_UP_COMMANDS; i++) {
        await agent.run(["true"], { timeoutMs: WARM_UP_MS });
      }
      await agent.close();
      await guest.machine.pause();
    } catch (error) {
      await guest.machine.stop();
      throw error;
    }
    return new WarmGuest(config, guest, host);
  }

  /** Whether a VM may go on with it: made of the same template, with nothing of its own that a machine is made with. */
  fits({ origin, network, limits }: VmConfig): boolean {
    const { cpuShare, diskBytesPerSecond, diskRequestsPerSecond, networkBytesPerSecond } = limits;
    const rates = [cpuShare, diskBytesPerSecond, diskRequestsPerSecond, networkBytesPerSecond];
    return (
      origin?.template !== undefined &&
      origin.template === this.#config.origin?.template &&
      isPlain(network) &&
      isPlain(this.#config.network) &&
      rates.every((rate) => rate === undefined)
    );
  }

  /** Moves its disks from this process's directory into a VM's folder, whose they are from now on. */
  async moveDisks(vm: string): Promise<void> {
    await rename(DISKS, join(vm, DISKS)).catch(nothingThere(undefined));
  }

  /** The machine, paused, for a VM that it fits. */
  become({ limits }: VmConfig, host: GuestMachineHost): GuestMachine {
    this.#guest.quota.limit = limits.diskBytes ?? Infinity;
    this.#host.become(host);
    return this.#guest;
  }

  /** Nobody goes on with it. */
  async discard(): Promise<void> {
    await this.#guest.machine.stop();
  }
}

/** A network that only a card's address tells from others. */
function isPlain(network: VmConfig["network"]): boolean {
  if (network === undefined) return true;
  return "forwards" in network && network.forwards.length === 0 && !network.allow && !network.deny;
}

/** Passes on what comes out of a machine, once it is known to whom. */
class LaterHost implements GuestMachineHost {
  #host: GuestMachineHost | undefined;
  readonly events = {
    onReset: () => this.#host?.events.onReset?.(),
    onDeviceFault: (device: string, error: Error) =>
      this.#host?.events.onDeviceFault?.(device, error),
  };

  become(host: GuestMachineHost): void {
    this.#host = host;
  }

  onSerial = (bytes: Uint8Array): boolean => this.#host?.onSerial(bytes) ?? true;
  onDiskError = (error: unknown): void => this.#host?.onDiskError(error);
  onDiskFull = (): void => this.#host?.onDiskFull();
}
