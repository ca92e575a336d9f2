import type { Fields } from "./records.ts";

/** What a command used, as the guest counted it. */
export interface ResourceUsage {
  readonly wallSeconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  /**
   * The most memory in use at once. Of all processes of the command, with the file cache they filled, where
   * `source` is "cgroup"; else the resident memory of the largest of them.
   */
  readonly peakMemoryBytes: number;
  /** The most resident memory of a single process; not of those that outlived the command. */
  readonly largestProcessBytes: number;
  /** Bytes from and to storage. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Bytes through read and write calls, pipes and caches included; undefined where the guest does not count them. */
  readonly readChars: number | undefined;
  readonly writtenChars: number | undefined;
  readonly source: "cgroup" | "rusage";
}

/** @throws QZ_HYPERVISOR_AGENT_PROTOCOL */
export function parseUsage(fields: Fields): ResourceUsage {
  return {
    wallSeconds: fields.needed("wall-ns") / 1e9,
    userSeconds: fields.needed("user-us") / 1e6,
    systemSeconds: fields.needed("system-us") / 1e6,
    peakMemoryBytes: fields.needed("peak-memory-bytes"),
    largestProcessBytes: fields.needed("largest-process-bytes"),
    readBytes: fields.needed("read-bytes"),
    writtenBytes: fields.needed("written-bytes"),
    readChars: fields.count("read-chars"),
    writtenChars: fields.count("written-chars"),
    source: fields.text("source") === "cgroup" ? "cgroup" : "rusage",
  };
}
