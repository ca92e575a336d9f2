import { statfs } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import type { ServiceOf } from "@queztl/api";
import type { BrainHost } from "../brain/brain-host.ts";
import type { Database } from "../database/database.ts";
import { nodes } from "../database/schema.ts";
import type { Images } from "../images/images.ts";
import type { TaskRecords } from "../tasks/task-records.ts";
import type { Fleet } from "../vms/fleet.ts";

/** What the statistics are made of. */
export interface StatsParts {
  readonly home: string;
  readonly version: string;
  readonly database: Database;
  readonly fleet: Fleet;
  readonly tasks: TaskRecords;
  readonly images: Images;
  readonly brain: BrainHost;
}

const MIB = 1_048_576;

/** The API's statistics. */
export function createStatsService(parts: StatsParts): ServiceOf<"stats"> {
  const { database, fleet, tasks, images, brain } = parts;
  const started = Date.now();
  const busy = cpuShare();
  return {
    async get() {
      const [vms, taskCounts, imageCount, templates, nodeCount, disk] = await Promise.all([
        fleet.counts(),
        tasks.counts(),
        images.count(),
        fleet.parts.host.templates(),
        database.records.$count(nodes),
        statfs(parts.home),
      ]);
      const memory = hostMemory();
      return {
        at: new Date().toISOString(),
        version: parts.version,
        uptimeSeconds: (Date.now() - started) / 1000,
        database: database.kind,
        vms,
        tasks: taskCounts,
        nodes: nodeCount,
        images: imageCount,
        templates: templates.length,
        experiences: brain.brain.status().experiences,
        host: {
          cpu: cpus().length,
          cpuShare: busy(),
          memoryMib: memory.total / MIB,
          memoryShare: Math.min(1, Math.max(0, 1 - memory.free / memory.total)),
          diskFreeMib: (disk.bavail * disk.bsize) / MIB,
        },
      };
    },
  };
}

/** Bytes of memory; in a container those of the container. */
function hostMemory(): { total: number; free: number } {
  const limit = process.constrainedMemory();
  const total = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { total, free: process.availableMemory() };
}

/** Tells the busy part of all processors since it was last asked. */
function cpuShare(): () => number {
  const read = () => {
    let [idle, total] = [0, 0];
    for (const { times } of cpus()) {
      idle += times.idle;
      total += times.user + times.nice + times.sys + times.irq + times.idle;
    }
    return { idle, total };
  };
  let before = read();
  let last = 0;
  return () => {
    const now = read();
    const passed = now.total - before.total;
    if (passed > 0) {
      last = Math.min(1, Math.max(0, 1 - (now.idle - before.idle) / passed));
      before = now;
    }
    return last;
  };
}
