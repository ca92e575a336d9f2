import type { ConsoleGrant, ServiceOf, Vm } from "@queztl/api";
import { CONSOLE_PROTOCOL, LARGEST_CHUNK } from "@queztl/api";
import { and, desc, eq, inArray, lt, ne, or } from "drizzle-orm";
import type { BrainHost } from "../brain/brain-host.ts";
import { pageOf } from "../database/page.ts";
import { snapshots, vms } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import { sortableId } from "../sortable-id.ts";
import { problemOf, type Fleet, type VmRow } from "./fleet.ts";
import type { Tickets } from "./tickets.ts";
import type { VmLogPiece } from "./vm-host.ts";

type SnapshotRow = typeof snapshots.$inferSelect;

/** What the VMs' service is made of. */
export interface VmServiceParts {
  readonly fleet: Fleet;
  readonly brain: BrainHost;
  readonly tickets: Tickets;
  readonly defaultImage: string;
  readonly defaultMemoryMib: () => number;
}

const DEFAULT_DISK_MIB = 1024;
// Seen with `free` in guests of the templates; `python` holds an interpreter with its libraries imported.
const OVERHEAD_MIB: Readonly<Record<string, number>> = { base: 96, debian: 128, python: 256 };
const OTHER_OVERHEAD_MIB = 192;

/** What a guest's kernel, agent and prepared programs take beside a program, by its image. */
export function guestOverheadMib(image: string | undefined): number {
  return OVERHEAD_MIB[image ?? ""] ?? OTHER_OVERHEAD_MIB;
}

/** The API's side of VMs. */
export function createVmService(parts: VmServiceParts): ServiceOf<"vm"> {
  const { fleet, brain, tickets } = parts;
  const { records, reservations, host } = fleet.parts;

  const need = (row: VmRow, ...states: Vm["state"][]) => {
    if (states.includes(row.state)) return fleet.handle(row);
    const { id, state } = row;
    throw serverErrors("QZ_SERVER_STATE", { kind: "VM", id, state, needed: states.join(" or ") });
  };

  /** Reserves, or says that there is not enough. */
  const reserve = (id: string, amount: { cpu: number; memoryMib: number }) => {
    const wanted = `${amount.cpu} CPU and ${amount.memoryMib} MiB`;
    if (!reservations.fits(amount)) {
      const { cpu, memoryMib } = reservations.capacity;
      const capacity = `${cpu} CPU and ${memoryMib} MiB`;
      throw serverErrors("QZ_SERVER_TOO_LARGE", { what: "a VM", wanted, capacity });
    }
    if (!reservations.tryTake(id, amount)) throw serverErrors("QZ_SERVER_NO_CAPACITY", { wanted });
  };

  const snapshotRow = async (vm: string, wanted: string): Promise<SnapshotRow> => {
    const [row] = await records
      .select()
      .from(snapshots)
      .where(and(eq(snapshots.vm, vm), or(eq(snapshots.id, wanted), eq(snapshots.name, wanted))));
    if (row === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "snapshot", wanted });
    return row;
  };

  const actorOf = ({
    principal,
    requestId,
  }: {
    principal: { tokenId: string };
    requestId: string;
  }) => ({
    actor: principal.tokenId,
    requestId,
  });

  return {
    async create(input, call) {
      const id = sortableId("vm");
      const { name = id, purpose, ports, labels, image } = input;
      let [cpu, memoryMib, diskMib] = [input.cpu, input.memoryMib, input.diskMib];
      let [chosenImage, decision]: [string | undefined, string | undefined] = [image, undefined];
      if (purpose !== undefined) {
        const decided = brain.estimate(
          brain.analyse({
            description: purpose,
            request: { memoryMib: parts.defaultMemoryMib() },
            ...(image === undefined ? {} : { image }),
          }),
          null,
        );
        const { resources } = decided;
        cpu ??= Math.min(resources.vcpus, host.mostCpu);
        diskMib ??= Math.max(DEFAULT_DISK_MIB, Math.ceil(resources.diskMib));
        chosenImage ??= resources.image;
        const overheadMib = guestOverheadMib(chosenImage ?? parts.defaultImage);
        const needMib = Math.min(resources.memoryMib + overheadMib, host.mostMemoryMib);
        // A size that has templates goes on from one instead of booting.
        const fits = (mib: number) => mib >= needMib && mib <= host.mostMemoryMib;
        memoryMib ??= host.sizes.memoryMib.find(fits) ?? needMib;
        decision = decided.id;
        await brain.store.settled();
      }
      const amount = { cpu: cpu ?? 1, memoryMib: memoryMib ?? parts.defaultMemoryMib() };
      if (amount.cpu > host.mostCpu || amount.memoryMib > host.mostMemoryMib) {
        const wanted = `${amount.cpu} CPU and ${amount.memoryMib} MiB`;
        const capacity = `${host.mostCpu} CPU and ${host.mostMemoryMib} MiB for one VM`;
        throw serverErrors("QZ_SERVER_TOO_LARGE", { what: "a VM", wanted, capacity });
      }
      if (input.start) reserve(id, amount);
      try {
        const vm = await fleet.create(
          {
            id,
            name,
            ...amount,
            diskMib: diskMib ?? DEFAULT_DISK_MIB,
            image: chosenImage ?? parts.defaultImage,
            ports: ports.map(({ guest, host, protocol, address }) => ({
              guest,
              protocol,
              address,
              ...(host === undefined ? {} : { host }),
            })),
            network: true,
            labels,
            ...(purpose === undefined ? {} : { purpose }),
            ...(decision === undefined ? {} : { decision }),
            starts: input.start,
          },
          actorOf(call),
        );
        if (!input.start) return vmOf(await fleet.row(id));
        // A caller that is cut off finds it made when it is back; `destroy` ends it at any moment.
        return vmOf(await fleet.start(vm, actorOf(call)));
      } catch (cause) {
        reservations.release(id);
        if (fleet.find(id) !== undefined) await fleet.destroy(id, actorOf(call), problemOf(cause));
        throw cause;
      }
    },

    async list({ states, node, ...page }) {
      const rows = await records
        .select()
        .from(vms)
        .where(
          and(
            page.cursor === undefined ? undefined : lt(vms.id, page.cursor),
            states === undefined ? ne(vms.state, "destroyed") : inArray(vms.state, states),
            node === undefined ? undefined : eq(vms.node, node),
          ),
        )
        .orderBy(desc(vms.id))
        .limit(page.limit + 1);
      return pageOf(rows, page, { keyOf: ({ id }) => id, itemOf: vmOf });
    },

    get: async ({ vm }) => vmOf(await fleet.row(vm)),

    async start({ vm }, call) {
      const row = await fleet.row(vm);
      const handle = need(row, "stopped", "crashed");
      reserve(row.id, row);
      try {
        return vmOf(await fleet.start(handle, actorOf(call)));
      } catch (cause) {
        reservations.release(row.id);
        throw cause;
      }
    },

    async stop({ vm, graceSeconds }, call) {
      const row = await fleet.row(vm);
      const handle = need(row, "running", "paused");
      await handle.stop(graceSeconds);
      reservations.release(row.id);
      return vmOf(await fleet.moved(row, "stopped", "stopped", actorOf(call)));
    },

    async pause({ vm }, call) {
      const row = await fleet.row(vm);
      await need(row, "running").pause();
      return vmOf(await fleet.moved(row, "paused", "paused", actorOf(call)));
    },

    async resume({ vm }, call) {
      const row = await fleet.row(vm);
      await need(row, "paused").resume();
      return vmOf(await fleet.moved(row, "running", "resumed", actorOf(call)));
    },

    async reset({ vm }, call) {
      const row = await fleet.row(vm);
      await need(row, "running", "paused").reset();
      return vmOf(await fleet.moved(row, "running", "reset", actorOf(call)));
    },

    async destroy({ vm, force }, call) {
      const row = await fleet.row(vm);
      if (!force && !["stopped", "crashed"].includes(row.state)) {
        const { id, state } = row;
        const needed = "stopped or crashed; force destroys it all the same";
        throw serverErrors("QZ_SERVER_STATE", { kind: "VM", id, state, needed });
      }
      return vmOf(await fleet.destroy(row.id, actorOf(call)));
    },

    async snapshot({ vm, name }, call) {
      const row = await fleet.row(vm);
      const handle = need(row, "running", "paused");
      const id = sortableId("snapshot");
      const [kept] = await records
        .insert(snapshots)
        .values({ id, vm: row.id, name: name ?? id, bytes: 0, createdAt: new Date() })
        .onConflictDoNothing()
        .returning();
      if (kept === undefined) {
        throw serverErrors("QZ_SERVER_NAME_TAKEN", { kind: "snapshot", name: name ?? id });
      }
      try {
        const { bytes } = await handle.snapshot(id);
        await records.update(snapshots).set({ bytes }).where(eq(snapshots.id, id));
        await fleet.moved(row, row.state, "snapshot-taken", actorOf(call));
        return snapshotOf({ ...kept, bytes });
      } catch (cause) {
        await records.delete(snapshots).where(eq(snapshots.id, id));
        throw cause;
      }
    },

    async snapshots({ vm, ...page }) {
      const { id } = await fleet.row(vm);
      const after = page.cursor === undefined ? undefined : lt(snapshots.id, page.cursor);
      const rows = await records
        .select()
        .from(snapshots)
        .where(and(eq(snapshots.vm, id), after))
        .orderBy(desc(snapshots.id))
        .limit(page.limit + 1);
      return pageOf(rows, page, { keyOf: (row) => row.id, itemOf: snapshotOf });
    },

    async removeSnapshot({ vm, snapshot }) {
      const row = await fleet.row(vm);
      const kept = await snapshotRow(row.id, snapshot);
      await fleet.handle(row).removeSnapshot(kept.id);
      await records.delete(snapshots).where(eq(snapshots.id, kept.id));
      return snapshotOf(kept);
    },

    async restore({ vm, snapshot }, call) {
      const row = await fleet.row(vm);
      const kept = await snapshotRow(row.id, snapshot);
      const handle = fleet.handle(row);
      reserve(row.id, row);
      try {
        await handle.restore(kept.id);
      } catch (cause) {
        if (handle.state !== "running" && handle.state !== "paused") reservations.release(row.id);
        throw cause;
      }
      return vmOf(await fleet.moved(row, "running", "restored", actorOf(call)));
    },

    async fork({ vm, name }, call) {
      const row = await fleet.row(vm);
      need(row, "running", "paused");
      const id = sortableId("vm");
      reserve(id, row);
      try {
        return vmOf(await fleet.fork(row, { id, name: name ?? id }, actorOf(call)));
      } catch (cause) {
        reservations.release(id);
        throw cause;
      }
    },

    async exec({ vm, command, environment, directory, user, input, timeoutSeconds }, { signal }) {
      const handle = need(await fleet.row(vm), "running");
      const program = await handle.run({
        command,
        environment,
        timeoutSeconds,
        stdin: input === "" ? "none" : "pipe",
        ...(directory === undefined ? {} : { directory }),
        ...(user === undefined ? {} : { user }),
      });
      const stop = () => program.kill();
      signal.addEventListener("abort", stop, { once: true });
      try {
        // A program need not read its input, so a write that fails says nothing.
        if (input !== "")
          void feed(program.stdin, Buffer.from(input, "base64")).catch(() => undefined);
        const [stdout, stderr, end] = await Promise.all([
          collect(program.stdout),
          collect(program.stderr),
          program.done,
        ]);
        return {
          exitCode: end.signal === null && !end.timedOut ? end.exitCode : null,
          signal: end.signal,
          timedOut: end.timedOut,
          stdout: stdout.text,
          stderr: stderr.text,
          truncated: stdout.truncated || stderr.truncated,
          seconds: end.wallSeconds,
        };
      } finally {
        signal.removeEventListener("abort", stop);
      }
    },

    async openExec({ vm, command, environment, directory, user, terminal, columns, rows }) {
      const row = await fleet.row(vm);
      need(row, "running");
      return grantOf(
        tickets.issue({
          kind: "exec",
          vm: row.id,
          run: {
            command,
            environment,
            ...(directory === undefined ? {} : { directory }),
            ...(user === undefined ? {} : { user }),
            ...(terminal ? { terminal: { columns, rows } } : {}),
          },
        }),
      );
    },

    async console({ vm, columns, rows, scrollbackBytes }) {
      const row = await fleet.row(vm);
      need(row, "running", "paused");
      return grantOf(
        tickets.issue({ kind: "console", vm: row.id, size: { columns, rows }, scrollbackBytes }),
      );
    },

    async copyTo({ vm, path, data, offset, mode }) {
      const handle = need(await fleet.row(vm), "running");
      return handle.writeFile(path, Buffer.from(data, "base64"), { offset, mode });
    },

    async copyFrom({ vm, path, offset, length }) {
      const handle = need(await fleet.row(vm), "running");
      const { data, bytes } = await handle.readFile(path, { offset, length });
      return { data: Buffer.from(data).toString("base64"), offset, bytes };
    },

    async logs({ vm, streams, tail, limit, cursor }) {
      const handle = fleet.handle(await fleet.row(vm));
      const from = offsetOf(cursor);
      const pieces = await handle.log({
        limit: limit + 1,
        ...(from === undefined ? {} : { from }),
        ...(tail === undefined ? {} : { tail }),
      });
      const items = pieces.slice(0, limit);
      const last = items.at(-1);
      return {
        items: items.filter(({ stream }) => streams?.includes(stream) ?? true).map(chunkOf),
        nextCursor: pieces.length > limit && last !== undefined ? `log-${last.offset}` : null,
      };
    },

    async *followLogs({ vm, streams, tail, lastEventId }, { signal }) {
      const handle = fleet.handle(await fleet.row(vm));
      let from = offsetOf(lastEventId);
      let first = tail;
      if (first === 0 && from === undefined) {
        // Only what comes: after the last piece, which is not shown.
        from = (await handle.log({ limit: 2, tail: 1 })).at(-1)?.offset ?? 0;
      }
      while (!signal.aborted) {
        const pieces = await handle.log({
          limit: 500,
          ...(from === undefined ? {} : { from }),
          ...(first === undefined || from !== undefined ? {} : { tail: first }),
        });
        first = undefined;
        for (const piece of pieces) {
          from = piece.offset;
          if (streams?.includes(piece.stream) ?? true) yield chunkOf(piece);
        }
        from ??= 0;
        if (pieces.length > 0) continue;
        if (fleet.find(handle.id) !== handle) return;
        await handle.logGrown(from, signal);
      }
    },

    async stats({ vm }) {
      const usage = await need(await fleet.row(vm), "running", "paused").usage();
      return { at: new Date().toISOString(), ...usage };
    },
  };
}

const grantOf = ({ ticket, expiresAt }: { ticket: string; expiresAt: Date }): ConsoleGrant => ({
  path: "/v1/consoles",
  ticket,
  protocol: CONSOLE_PROTOCOL,
  expiresAt: expiresAt.toISOString(),
});

async function feed(stdin: WritableStream<Uint8Array>, input: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  await writer.write(input);
  await writer.close();
}

/** A program's output up to what an answer holds; the rest is read and dropped, so that the program goes on. */
async function collect(
  stream: ReadableStream<Uint8Array>,
): Promise<{ text: string; truncated: boolean }> {
  const pieces: Uint8Array[] = [];
  let kept = 0;
  let truncated = false;
  for await (const piece of stream) {
    const room = LARGEST_CHUNK - kept;
    if (piece.byteLength > room) truncated = true;
    if (room > 0) pieces.push(piece.subarray(0, room));
    kept += Math.min(room, piece.byteLength);
  }
  return { text: new TextDecoder().decode(Buffer.concat(pieces)), truncated };
}

const offsetOf = (id: string | undefined): number | undefined => {
  const offset = /^log-(\d{1,15})$/.exec(id ?? "")?.[1];
  return offset === undefined ? undefined : Number(offset);
};

const chunkOf = ({ offset, at, stream, text }: VmLogPiece) => ({
  id: `log-${offset}`,
  at: at.toISOString(),
  stream,
  text,
});

const snapshotOf = (row: SnapshotRow) => ({
  id: row.id,
  name: row.name,
  vm: row.vm,
  bytes: row.bytes,
  createdAt: row.createdAt.toISOString(),
});

const vmOf = (row: VmRow): Vm => ({
  id: row.id,
  name: row.name,
  state: row.state,
  purpose: row.purpose,
  resources: { cpu: row.cpu, memoryMib: row.memoryMib, gpu: row.gpu, diskMib: row.diskMib },
  image: row.image,
  engine: row.engine,
  node: row.node,
  ports: row.ports,
  labels: row.labels,
  task: row.task,
  parent: row.parent,
  decision: row.decision,
  problem: row.problem,
  createdAt: row.createdAt.toISOString(),
  startedAt: row.startedAt?.toISOString() ?? null,
});
