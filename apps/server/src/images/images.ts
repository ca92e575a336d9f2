import type { Image, ServiceOf } from "@queztl/api";
import {
  BUILT_IN_IMAGES,
  importImage,
  listImages,
  openImage,
  removeImage,
} from "@queztl/images/node";
import { and, count, eq, ne } from "drizzle-orm";
import type { Logger } from "pino";
import type { Records } from "../database/database.ts";
import { images, vms } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Files } from "../files/files.ts";
import { problemOf } from "../vms/fleet.ts";
import type { VmHost } from "../vms/vm-host.ts";

/** The image that is used where none is named. */
export const DEFAULT_IMAGE = "base";

/** What the images need of the server. */
export interface ImagesParts {
  readonly home: string;
  readonly records: Records;
  readonly host: VmHost;
  readonly files: Files;
  readonly events: EventLog;
  readonly log: Logger;
}

/** The images of this computer: those that Queztl makes, and imported ones. */
export class Images {
  readonly #parts: ImagesParts;
  readonly #progress = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #working = new Set<Promise<void>>();

  constructor(parts: ImagesParts) {
    this.#parts = parts;
  }

  readonly service: ServiceOf<"image"> = {
    list: async ({ limit, cursor = "0" }) => {
      const from = /^\d{1,9}$/.test(cursor) ? Number(cursor) : 0;
      const all = await this.#all();
      const items = all.slice(from, from + limit);
      return { items, nextCursor: from + limit < all.length ? String(from + limit) : null };
    },
    get: ({ image }) => this.#one(image),
    build: async ({ name }, { principal, requestId }) => {
      if (!BUILT_IN_IMAGES.includes(name)) {
        const kind = `image to be made (there are ${BUILT_IN_IMAGES.join(", ")})`;
        throw serverErrors("QZ_SERVER_NOT_FOUND", { kind, wanted: name });
      }
      return this.#begin(name, { actor: principal.tokenId, requestId }, async (signal) => {
        await openImage(name, {
          home: this.#parts.home,
          signal,
          onProgress: this.#onProgress(name),
        });
      });
    },
    import: async ({ name, file }, { principal, requestId }) => {
      const known = await this.#all();
      if (known.some((image) => image.name === name && image.state !== "failed")) {
        throw serverErrors("QZ_SERVER_NAME_TAKEN", { kind: "image", name });
      }
      const { path } = await this.#parts.files.whole(file);
      return this.#begin(name, { actor: principal.tokenId, requestId }, async (signal) => {
        const { home } = this.#parts;
        const onProgress = this.#onProgress(name);
        await importImage({ name, from: { tar: path }, home, signal, onProgress });
      });
    },
    remove: async ({ image, force }, { principal, requestId }) => {
      const found = await this.#one(image);
      const [used] = await this.#parts.records
        .select({ vms: count() })
        .from(vms)
        .where(and(eq(vms.image, found.name), ne(vms.state, "destroyed")));
      const needed = "used by no VM and no template";
      if ((used?.vms ?? 0) > 0 || (!force && found.templates > 0)) {
        const state = `used by ${used?.vms ?? 0} VMs and ${found.templates} templates`;
        throw serverErrors("QZ_SERVER_STATE", { kind: "image", id: found.name, state, needed });
      }
      for (const template of await this.#parts.host.templates()) {
        if (template.image === found.name) await this.#parts.host.dropTemplate(template);
      }
      if (found.bytes > 0) await removeImage(found.name, { home: this.#parts.home });
      await this.#parts.records.delete(images).where(eq(images.name, found.name));
      await this.#parts.events.record({
        type: "image.removed",
        subject: found.id,
        message: `image ${found.name} was removed`,
        actor: principal.tokenId,
        requestId,
      });
      return { ...found, state: "removed", bytes: 0, templates: 0 };
    },
  };

  async count(): Promise<number> {
    return (await this.#all()).filter(({ state }) => state === "ready").length;
  }

  async stop(): Promise<void> {
    this.#stop.abort(serverErrors("QZ_SERVER_STOPPING"));
    await Promise.all(this.#working);
  }

  async #begin(
    name: string,
    by: { actor: string; requestId: string },
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<Image> {
    const { records, events } = this.#parts;
    if (!this.#progress.has(name)) {
      this.#progress.set(name, 0);
      const values = { name, state: "building" as const, problem: null, createdAt: new Date() };
      await records
        .insert(images)
        .values(values)
        .onConflictDoUpdate({ target: images.name, set: values });
      await events.record({
        type: "image.building",
        subject: name,
        message: `image ${name} is being made`,
        ...by,
      });
      const done = this.#make(name, by, work).finally(() => {
        this.#progress.delete(name);
        this.#working.delete(done);
      });
      this.#working.add(done);
    }
    return this.#one(name);
  }

  /** Makes an image and notes how that went. */
  async #make(
    name: string,
    by: { actor: string; requestId: string },
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { records, events, log } = this.#parts;
    try {
      await work(this.#stop.signal);
      await records.delete(images).where(eq(images.name, name));
      const message = `image ${name} is ready`;
      await events.record({ type: "image.ready", subject: name, message, ...by });
    } catch (cause) {
      const problem = problemOf(cause);
      const { code, message } = problem;
      try {
        await records.update(images).set({ state: "failed", problem }).where(eq(images.name, name));
        await events.record({
          type: "image.failed",
          subject: name,
          message,
          details: { code },
          ...by,
        });
      } catch (error) {
        log.error({ err: error, image: name }, "how an image was made could not be noted");
      }
    }
  }

  #onProgress(name: string) {
    return ({ bytes, totalBytes }: { bytes?: number; totalBytes?: number }) => {
      // Fetching is most of the time; what follows takes seconds.
      if (bytes !== undefined && totalBytes)
        this.#progress.set(name, Math.min(0.95, bytes / totalBytes));
    };
  }

  async #one(wanted: string): Promise<Image> {
    const found = (await this.#all()).find(({ id, name }) => id === wanted || name === wanted);
    if (found === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "image", wanted });
    return found;
  }

  async #all(): Promise<Image[]> {
    const { home, records, host } = this.#parts;
    const [built, asked, templates] = await Promise.all([
      listImages({ home }),
      records.select().from(images),
      host.templates(),
    ]);
    const names = new Set([
      ...BUILT_IN_IMAGES,
      ...built.map(({ name }) => name),
      ...asked.map(({ name }) => name),
    ]);
    return [...names].map((name): Image => {
      const summary = built.find((each) => each.name === name);
      const row = asked.find((each) => each.name === name);
      const building = this.#progress.has(name);
      const failed = !building && row !== undefined && summary === undefined;
      return {
        id: name,
        name,
        // What Queztl makes itself is there for whoever asks: it is made when it is first needed.
        state: building ? "building" : failed ? "failed" : "ready",
        progress: building ? (this.#progress.get(name) ?? 0) : failed ? 0 : 1,
        kernel: null,
        bytes: summary?.bytes ?? 0,
        templates: templates.filter(({ image }) => image === name).length,
        default: name === DEFAULT_IMAGE,
        problem: failed ? (row.problem ?? null) : null,
        createdAt: summary?.builtAt ?? row?.createdAt.toISOString() ?? null,
      };
    });
  }
}
