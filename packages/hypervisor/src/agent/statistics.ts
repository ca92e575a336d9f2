import { broken } from "./records.ts";
import type { Fields } from "./records.ts";

/** A mounted file system of the guest. */
export interface GuestDisk {
  readonly path: string;
  readonly type: string;
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** What the guest says of itself. */
export interface GuestStatistics {
  /** /proc/meminfo in bytes, by its own names: MemTotal, MemAvailable, Cached … */
  readonly memory: Readonly<Record<string, number>>;
  /** Load averages over 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number];
  readonly uptimeSeconds: number;
  /** Commands that the agent has running. */
  readonly commands: number;
  readonly disks: readonly GuestDisk[];
}

const MEMORY = "memory-";

/** @throws QZ_HYPERVISOR_AGENT_PROTOCOL */
export function parseStatistics(fields: Fields): GuestStatistics {
  const memory: [string, number][] = fields
    .keys()
    .filter((key) => key.startsWith(MEMORY))
    .slice(0, 256)
    .map((key) => [key.slice(MEMORY.length), fields.needed(key)]);
  const [one, five, fifteen] = (fields.text("load") ?? "").split(" ").map(decimal);
  if (one === undefined || five === undefined || fifteen === undefined)
    throw broken("load averages that are none");
  return {
    memory: Object.fromEntries(memory),
    load: [one, five, fifteen],
    uptimeSeconds: decimal(fields.text("uptime") ?? ""),
    commands: fields.needed("commands"),
    disks: fields.all("disk").slice(0, 64).map(parseDisk),
  };
}

function parseDisk(text: string): GuestDisk {
  const [total, available, type, path] = /^(\d+) (\d+) (\S+) ([^]+)$/.exec(text)?.slice(1) ?? [];
  if (type === undefined || path === undefined) throw broken("a disk that is none");
  return { path, type, totalBytes: Number(total), availableBytes: Number(available) };
}

function decimal(text: string): number {
  if (!/^\d{1,12}(\.\d{1,9})?$/.test(text)) throw broken("a figure that is no number");
  return Number(text);
}
