import { hypervisorError } from "../errors.ts";
import type { ByteChannel } from "./channel.ts";
import { startCommand } from "./command.ts";
import type { AgentCommand, ExecOptions } from "./command.ts";
import { Connection } from "./connection.ts";
import type { ConnectOptions } from "./connection.ts";
import type { RequestOptions } from "./deadline.ts";
import { getEntries, putEntries, readGuestFile, writeGuestFile } from "./files.ts";
import type {
  CopyInOptions,
  CopyOutOptions,
  CopyResult,
  GuestContent,
  GuestEntry,
  GuestEntryOut,
} from "./files.ts";
import type { AgentInfo } from "./hello.ts";
import type { Field } from "./records.ts";
import { runCommand } from "./run.ts";
import type { RunOptions, RunResult } from "./run.ts";
import { parseStatistics } from "./statistics.ts";
import type { GuestStatistics } from "./statistics.ts";

/** What a machine made from a snapshot gets of its own; what is left out stays as it is. */
export interface GuestIdentity {
  /** 1 to 63 letters, digits and hyphens. */
  readonly hostname?: string;
  /** 32 hexadecimal digits. */
  readonly machineId?: string;
  /** The station's address of its network card, "52:54:00:12:34:56"; without a card it is nothing. */
  readonly mac?: string;
  /** The time of day; `"now"` is the host's. */
  readonly clock?: Date | "now";
  /** Random bytes for the guest's generator, which is reseeded with them; at most 512. */
  readonly entropy?: Uint8Array;
}

/**
 * The host's side of the guest agent (docs/agent-protocol.md). Whatever the guest answers ends in a result or a
 * coded error, within bounded memory: the agent is not trusted.
 *
 * Every method may throw QZ_HYPERVISOR_AGENT_CLOSED, _RESTARTED (the agent was started anew meanwhile; later requests
 * work), _PROTOCOL, _TIMEOUT and _CANCELLED, beside what it names.
 */
export class AgentClient implements AsyncDisposable {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Begins a session with the agent behind a channel, and waits until it answers. What an earlier session left
   * running is killed, except commands with `persist`.
   * @throws QZ_HYPERVISOR_AGENT_UNAVAILABLE when nothing answers in time, QZ_HYPERVISOR_AGENT_VERSION
   */
  static async connect(channel: ByteChannel, options: ConnectOptions = {}): Promise<AgentClient> {
    return new AgentClient(await Connection.open(channel, options));
  }

  /** A client of a session that others use too; closing it ends the session. */
  static over(connection: Connection): AgentClient {
    return new AgentClient(connection);
  }

  /** What the agent said of itself. */
  get info(): AgentInfo {
    return this.#connection.info;
  }

  /**
   * Starts a command, without a shell. Its output must be read, or set to "discard", for it to come to an end.
   * @param argv the program, sought in PATH, and its arguments.
   * @throws QZ_HYPERVISOR_OPTIONS. QZ_HYPERVISOR_AGENT_COMMAND, where it cannot be started, comes through `done`.
   */
  exec(argv: readonly string[], options: ExecOptions = {}): AgentCommand {
    return startCommand(this.#connection, argv, options);
  }

  /** Takes over a command that was started with `persist` in an earlier session, or in a snapshot. */
  attach(name: string, options: Pick<ExecOptions, "signal"> = {}): AgentCommand {
    return startCommand(this.#connection, { attach: name }, options);
  }

  /**
   * Runs a command to its end, or one that waits under a name (`attach`), and resolves with all it wrote. Exit statuses
   * are results, not errors.
   * @throws QZ_HYPERVISOR_OPTIONS, QZ_HYPERVISOR_AGENT_COMMAND; QZ_HYPERVISOR_AGENT_LIMIT for too much output.
   */
  run(
    what: readonly string[] | { readonly attach: string },
    options: RunOptions = {},
  ): Promise<RunResult> {
    return runCommand(this.#connection, what, options);
  }

  /**
   * Writes files, folders and links below a folder of the guest, which is made. No entry leaves it, and no existing link in
   * it is followed; existing files are replaced.
   * @throws QZ_HYPERVISOR_OPTIONS for a path, QZ_HYPERVISOR_AGENT_REFUSED
   */
  copyIn(
    folder: string,
    entries: Iterable<GuestEntry> | AsyncIterable<GuestEntry>,
    options: CopyInOptions = {},
  ): Promise<CopyResult> {
    return putEntries(this.#connection, folder, entries, options);
  }

  /**
   * A guest's folder, or a single file, entry by entry: a folder comes before what is in it. Paths are relative and
   * stay below where they are put; a file's content must be read before the next entry is asked for, or is skipped.
   * @throws QZ_HYPERVISOR_AGENT_REFUSED, QZ_HYPERVISOR_AGENT_LIMIT
   */
  copyOut(path: string, options: CopyOutOptions = {}): AsyncGenerator<GuestEntryOut, void> {
    return getEntries(this.#connection, path, options);
  }

  /** Writes one file; folders above it are made. @throws as `copyIn` */
  writeFile(
    path: string,
    content: GuestContent,
    options: CopyInOptions & { readonly mode?: number } = {},
  ): Promise<void> {
    return writeGuestFile(this.#connection, path, content, options);
  }

  /** The content of one file, at most `maxBytes` (default 16 MiB). @throws as `copyOut` */
  readFile(path: string, options: CopyOutOptions = {}): Promise<Uint8Array> {
    return readGuestFile(this.#connection, path, options);
  }

  /** Sets what makes this machine another one than that of the snapshot it came from. @throws QZ_HYPERVISOR_AGENT_REFUSED */
  async configure(identity: GuestIdentity, options: RequestOptions = {}): Promise<void> {
    const { hostname, machineId, mac, clock, entropy } = identity;
    const fields: Field[] = [];
    if (entropy !== undefined) fields.push(["entropy", entropy]);
    if (clock !== undefined) {
      const ms = clock === "now" ? Date.now() : clock.getTime();
      fields.push(["clock", String(BigInt(Math.round(ms)) * 1_000_000n)]);
    }
    if (hostname !== undefined) fields.push(["hostname", hostname]);
    if (machineId !== undefined) fields.push(["machine-id", machineId]);
    if (mac !== undefined) fields.push(["mac", mac]);
    await this.#connection.ask("configure", fields, options);
  }

  /** Sets the guest's clock. @throws QZ_HYPERVISOR_AGENT_REFUSED */
  setClock(clock: Date | "now", options?: RequestOptions): Promise<void> {
    return this.configure({ clock }, options);
  }

  /** Memory, load and disks of the guest, as it sees them. */
  async stats(options: RequestOptions = {}): Promise<GuestStatistics> {
    return parseStatistics(await this.#connection.ask("stats", [], options));
  }

  /** Resolves with how long the agent took to answer, in milliseconds. */
  async ping(options: RequestOptions = {}): Promise<number> {
    const start = performance.now();
    await this.#connection.ask("ping", [], options);
    return performance.now() - start;
  }

  /**
   * Has the guest shut down, in order or with `force` at once; resolves when the agent has taken it up.
   * @throws QZ_HYPERVISOR_AGENT_REFUSED
   */
  async shutdown(
    how: "power-off" | "reboot",
    options: RequestOptions & { readonly force?: boolean } = {},
  ): Promise<void> {
    const fields: Field[] = [["how", how]];
    if (options.force) fields.push(["force", "1"]);
    await this.#connection.ask("shutdown", fields, options);
  }

  /** Resolves, with the reason, when the connection has ended. */
  get closed(): Promise<unknown> {
    return this.#connection.closed;
  }

  /** Ends the connection; what runs in the guest goes on until the next session. */
  async close(): Promise<void> {
    const reason = "it was closed here";
    await this.#connection.close(hypervisorError("QZ_HYPERVISOR_AGENT_CLOSED", { reason }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
