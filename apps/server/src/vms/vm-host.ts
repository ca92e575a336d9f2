/** What runs a guest's code. */
export type Engine = "emulator" | "kvm";

/** A VM to be made. */
export interface VmSpec {
  /** The server's id; also the name of the VM's folder. Never what a user or guest chose. */
  readonly id: string;
  /** The guest's host name: a DNS label. */
  readonly name: string;
  readonly image: string;
  readonly cpu: number;
  readonly memoryMib: number;
  readonly diskMib: number;
  readonly ports: readonly {
    guest: number;
    host?: number;
    protocol: "tcp" | "udp";
    address: string;
  }[];
  /** Whether it has a network card. */
  readonly network: boolean;
}

/** How a program in a guest is run; no shell looks at its arguments. */
export interface RunSpec {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
  readonly user?: string;
  readonly terminal?: { readonly columns: number; readonly rows: number };
  readonly timeoutSeconds?: number;
  /** Outlives this server under that name, for `attach`. */
  readonly persist?: string;
  readonly stdin?: "pipe" | "none";
}

/** How a program ended, and what it used as the guest counted it. */
export interface RunEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** The guest's kernel killed one of its processes for lack of memory. */
  readonly outOfMemory: boolean;
  readonly peakMib: number;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** A program that runs in a guest. */
export interface GuestProgram {
  readonly stdin: WritableStream<Uint8Array>;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Settles once its output was read; rejects when its VM is lost. */
  readonly done: Promise<RunEnd>;
  resize(size: { columns: number; rows: number }): void;
  /** Kills it with all its processes. */
  kill(): void;
}

/** A file in a guest. */
export interface GuestFile {
  /** Relative to the folder that was listed. */
  readonly path: string;
  readonly bytes: number;
  readonly mode: number;
  /** Must be read, or left, before the next file. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** A folder in a guest that is to be there, whatever is in it. */
export interface GuestFolder {
  readonly path: string;
  readonly content?: undefined;
}

/** What a VM uses. */
export interface VmUsage {
  readonly cpuShare: number;
  readonly cpuSeconds: number;
  readonly memoryMib: number;
  readonly memoryShare: number;
  readonly diskMib: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly uptimeSeconds: number;
}

/** A console to type at and look at. */
export interface GuestConsole {
  readonly output: ReadableStream<Uint8Array>;
  write(data: Uint8Array): Promise<void>;
  resize(size: { columns: number; rows: number }): void;
  close(): void;
}

/** A piece of a VM's log. */
export interface VmLogPiece {
  /** Its place; a later piece has a larger one. */
  readonly offset: number;
  readonly at: Date;
  readonly stream: "console" | "system";
  readonly text: string;
}

/** How a VM is started. */
export interface StartOptions {
  readonly signal?: AbortSignal;
  /** Hears what a first start is busy with: building an image or a template takes a while. */
  readonly onProgress?: (step: string) => void;
}

/** A VM in a process of its own that goes on without the server. */
export interface HostedVm {
  readonly id: string;
  readonly engine: Engine;
  readonly state: "running" | "paused" | "stopped" | "crashed";
  readonly ports: readonly {
    guest: number;
    host: number;
    protocol: "tcp" | "udp";
    address: string;
  }[];
  /** Hears each time when the guest or its monitor has ended by itself: `stopped` in good order. */
  onEnded(
    told: (end: { readonly state: "stopped" | "crashed"; readonly problem: string }) => void,
  ): void;
  start(options?: StartOptions): Promise<void>;
  stop(graceSeconds: number): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  reset(): Promise<void>;
  destroy(): Promise<void>;
  snapshot(snapshot: string): Promise<{ readonly bytes: number }>;
  restore(snapshot: string): Promise<void>;
  removeSnapshot(snapshot: string): Promise<void>;
  fork(spec: { readonly id: string; readonly name: string }): Promise<HostedVm>;
  run(spec: RunSpec): Promise<GuestProgram>;
  /** Takes over a program that was started with `persist`; where there is none, `done` rejects. */
  attach(name: string): Promise<GuestProgram>;
  writeFile(
    path: string,
    data: Uint8Array,
    options: { offset: number; mode: number },
  ): Promise<{ bytes: number }>;
  readFile(
    path: string,
    range: { offset: number; length: number },
  ): Promise<{ data: Uint8Array; bytes: number }>;
  /** Puts files and folders below a folder, which is made. */
  copyIn(
    folder: string,
    entries: AsyncIterable<GuestFile | GuestFolder>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** All regular files below a folder. */
  copyOut(folder: string): AsyncIterable<GuestFile>;
  console(options: {
    columns: number;
    rows: number;
    scrollbackBytes: number;
  }): Promise<GuestConsole>;
  /** Pieces of the log from an offset on, the newest that many last where `tail` is given. */
  log(range: { from?: number; tail?: number; limit: number }): Promise<VmLogPiece[]>;
  /** Resolves when the log goes on after that place, or the VM is gone. */
  logGrown(from: number, signal: AbortSignal): Promise<void>;
  usage(): Promise<VmUsage>;
  /** Asks the guest to give memory back to the host; how much it gave, in MiB. */
  reclaim(): Promise<number>;
}

/** What has VMs: one computer. */
export interface VmHost {
  /** What can run VMs here, the preferred one first. */
  readonly engines: readonly Engine[];
  /** The most memory one VM can have. */
  readonly mostMemoryMib: number;
  readonly mostCpu: number;
  /** The sizes that templates are kept in: memory in MiB and processors, each the smallest first. */
  readonly sizes: { readonly memoryMib: readonly number[]; readonly cpu: readonly number[] };
  /** Makes a VM, from a template where there is one. It is not started yet. */
  create(spec: VmSpec, options?: { signal?: AbortSignal }): Promise<HostedVm>;
  /** A VM that an earlier server left, as its record has it; undefined where nothing is left of it. */
  open(spec: VmSpec & { readonly started: boolean }): Promise<HostedVm | undefined>;
  /** The ids of all VMs with a folder here. */
  list(): Promise<string[]>;
  /** Removes a VM that no record knows. */
  remove(id: string): Promise<void>;
  /** Makes ready what VMs of an image and size start from. */
  prepare(
    template: TemplateSpec,
    options: { signal?: AbortSignal; onProgress?: (step: string) => void },
  ): Promise<void>;
  templates(): Promise<readonly TemplateSpec[]>;
  dropTemplate(template: TemplateSpec): Promise<void>;
  /** Removes templates that nothing was started from for so long; returns them. */
  pruneTemplates(unusedMs: number): Promise<readonly TemplateSpec[]>;
  /** How many processes are kept ready to become a VM; 0 keeps none. */
  standBy(count: number): Promise<void>;
  /** Lets go of everything; VMs go on. */
  close(): Promise<void>;
}

/** What VMs are started from. */
export interface TemplateSpec {
  readonly image: string;
  readonly cpu: number;
  readonly memoryMib: number;
  readonly network: boolean;
}
