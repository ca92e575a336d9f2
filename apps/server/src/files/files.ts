import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ServiceOf, StoredFile } from "@queztl/api";
import { eq, lt, sum } from "drizzle-orm";
import type { Settings } from "../config/settings.ts";
import type { Records } from "../database/database.ts";
import { files } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import { sortableId } from "../sortable-id.ts";

type Row = typeof files.$inferSelect;

const KEPT_MS = 24 * 3600 * 1000;
const MIB = 1_048_576;

/** Files on their way to and from the server. Their bytes lie under ids of the server's own making. */
export class Files {
  readonly #folder: string;
  readonly #records: Records;
  readonly #settings: Settings;
  readonly #events: EventLog;
  /** Files that a piece is being written to: a second one has to wait for its turn. */
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(parts: { home: string; records: Records; settings: Settings; events: EventLog }) {
    this.#folder = join(parts.home, "files");
    this.#records = parts.records;
    this.#settings = parts.settings;
    this.#events = parts.events;
  }

  readonly service: ServiceOf<"file"> = {
    create: async ({ name, bytes, sha256 }, { principal, requestId }) => {
      const row = await this.#create(name, bytes, sha256);
      await this.#events.record({
        type: "file.created",
        subject: row.id,
        message: `file ${name} of ${bytes} bytes`,
        actor: principal.tokenId,
        requestId,
      });
      return fileOf(row);
    },
    write: ({ file, offset, data }) =>
      this.#alone(file, async () =>
        fileOf(await this.#write(file, offset, Buffer.from(data, "base64"))),
      ),
    get: async ({ file }) => fileOf(await this.#row(file)),
    read: async ({ file, offset, length }) => {
      const { id, bytes, received } = await this.#row(file);
      const wanted = Math.max(0, Math.min(length, received - offset));
      return {
        data: (await readPart(this.pathOf(id), offset, wanted)).toString("base64"),
        offset,
        bytes,
      };
    },
    remove: ({ file }, { principal, requestId }) =>
      this.#alone(file, async () => {
        const row = await this.#row(file);
        await this.#delete(row);
        await this.#events.record({
          type: "file.removed",
          subject: row.id,
          message: `file ${row.name} was removed`,
          actor: principal.tokenId,
          requestId,
        });
        return fileOf(row);
      }),
  };

  pathOf(id: string): string {
    return join(this.#folder, id);
  }

  /** A whole file. Throws `QZ_SERVER_NOT_FOUND` and `QZ_SERVER_FILE_INCOMPLETE`. */
  async whole(id: string): Promise<{ path: string; bytes: number; sha256: string }> {
    const { bytes, received, sha256 } = await this.#row(id);
    if (sha256 === null) throw serverErrors("QZ_SERVER_FILE_INCOMPLETE", { id, bytes, received });
    return { path: this.pathOf(id), bytes, sha256 };
  }

  /** Keeps bytes of the server's own as a file to be read. */
  async keep(name: string, bytes: Uint8Array): Promise<StoredFile> {
    const { id } = await this.#create(name, bytes.byteLength, undefined);
    return fileOf(await this.#write(id, 0, bytes));
  }

  /** Deletes what nobody came for. */
  async sweep(now = new Date()): Promise<void> {
    for (const row of await this.#records.select().from(files).where(lt(files.expiresAt, now))) {
      await this.#alone(row.id, () => this.#delete(row));
    }
  }

  async #create(name: string, bytes: number, expected: string | undefined): Promise<Row> {
    const [used] = await this.#records.select({ bytes: sum(files.bytes) }).from(files);
    const limit = this.#settings.get("limits.filesMib");
    if (Number(used?.bytes ?? 0) + bytes > limit * MIB) {
      const what = "all files together";
      throw serverErrors("QZ_SERVER_STORAGE_FULL", { what, limit, setting: "limits.filesMib" });
    }
    const now = new Date();
    const row: Row = {
      id: sortableId("file"),
      name,
      bytes,
      received: 0,
      sha256: null,
      expectedSha256: expected ?? null,
      createdAt: now,
      expiresAt: new Date(now.getTime() + KEPT_MS),
    };
    await mkdir(this.#folder, { recursive: true });
    await (await open(this.pathOf(row.id), "wx", 0o600)).close();
    if (bytes === 0) Object.assign(row, await this.#finished(row));
    await this.#records.insert(files).values(row);
    return row;
  }

  async #write(id: string, offset: number, data: Uint8Array): Promise<Row> {
    const row = await this.#row(id);
    const { received, bytes } = row;
    if (offset !== received) {
      throw serverErrors("QZ_SERVER_FILE_OFFSET", { id, received, offset });
    }
    if (received + data.byteLength > bytes) {
      throw serverErrors("QZ_SERVER_FILE_TOO_LONG", { id, bytes });
    }
    const file = await open(this.pathOf(id), "r+");
    try {
      await file.write(data, 0, data.byteLength, offset);
      await file.datasync();
    } finally {
      await file.close();
    }
    row.received = received + data.byteLength;
    const changes = row.received === bytes ? await this.#finished(row) : { received: row.received };
    await this.#records.update(files).set(changes).where(eq(files.id, id));
    return { ...row, ...changes };
  }

  /** A file with all its bytes: what they hash to. A wrong hash begins the file anew. */
  async #finished(row: Row): Promise<{ received: number; sha256: string | null }> {
    const sha256 = await hashOf(this.pathOf(row.id));
    if (row.expectedSha256 === null || row.expectedSha256 === sha256) {
      return { received: row.bytes, sha256 };
    }
    await this.#records.update(files).set({ received: 0 }).where(eq(files.id, row.id));
    throw serverErrors("QZ_SERVER_FILE_CHECKSUM", { id: row.id });
  }

  async #row(id: string): Promise<Row> {
    const [row] = await this.#records.select().from(files).where(eq(files.id, id));
    if (row === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "file", wanted: id });
    return row;
  }

  async #delete({ id }: Row): Promise<void> {
    await this.#records.delete(files).where(eq(files.id, id));
    await rm(this.pathOf(id), { force: true });
  }

  async #alone<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#busy.get(id) ?? Promise.resolve()).then(work, work);
    const settled = turn.catch(() => undefined);
    this.#busy.set(id, settled);
    try {
      return await turn;
    } finally {
      if (this.#busy.get(id) === settled) this.#busy.delete(id);
    }
  }
}

/** Part of a file; shorter where the file ends. */
export async function readPart(path: string, offset: number, length: number): Promise<Buffer> {
  const part = Buffer.alloc(length);
  const file = await open(path, "r");
  try {
    const { bytesRead } = await file.read(part, 0, length, offset);
    return part.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** SHA-256 of a file, in lower-case hexadecimal. */
export async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest("hex");
}

/** A path beside a file, to write to before it is moved into place. */
export const beside = (path: string) => `${path}.${randomUUID()}.partial`;

const fileOf = (row: Row): StoredFile => ({
  id: row.id,
  name: row.name,
  bytes: row.bytes,
  received: row.received,
  sha256: row.sha256,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
});
