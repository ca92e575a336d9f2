import type { BrainState, BrainStore, Decision, Experience } from "@queztl/brain";
import { desc, eq } from "drizzle-orm";
import type { Records } from "../database/database.ts";
import { brainState, decisions, experiences } from "../database/schema.ts";

/** The brain's store on the database: vectors as bytes, everything else as JSON. */
export class BrainRecords implements BrainStore {
  readonly #records: Records;
  readonly #purposes = new Map<string, { task: string | null; attempt: number }>();
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor(records: Records) {
    this.#records = records;
  }

  /** Says what a decision that was just made is for; its row, which is yet to be written, will hold it. */
  assign(decision: string, task: string | null, attempt: number): void {
    this.#purposes.set(decision, { task, attempt });
  }

  /** Waits for every decision and experience so far. */
  async settled(): Promise<void> {
    // The brain begins each write in a later microtask than the call that causes it.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#lastWrite.catch(() => undefined);
  }

  async loadState(): Promise<BrainState | undefined> {
    const [row] = await this.#records.select().from(brainState).where(eq(brainState.id, 1));
    return row?.body as BrainState | undefined;
  }

  async saveState(state: BrainState): Promise<void> {
    const values = { id: 1, savedAt: new Date(), body: state };
    await this.#records
      .insert(brainState)
      .values(values)
      .onConflictDoUpdate({ target: brainState.id, set: values });
  }

  async loadExperiences(): Promise<Experience[]> {
    return (await this.#records.select().from(experiences)).map(({ id, body, embedding }) => ({
      ...(body as Omit<Experience, "id" | "embedding">),
      id,
      embedding: vectorOf(embedding),
    }));
  }

  putExperience({ id, embedding, ...body }: Experience): Promise<void> {
    const { buffer, byteOffset, byteLength } = embedding;
    const values = {
      id,
      at: body.at,
      family: body.family,
      body,
      embedding: new Uint8Array(buffer, byteOffset, byteLength),
    };
    return this.#write(
      this.#records
        .insert(experiences)
        .values(values)
        .onConflictDoUpdate({ target: experiences.id, set: values }),
    );
  }

  deleteExperience(id: string): Promise<void> {
    return this.#write(this.#records.delete(experiences).where(eq(experiences.id, id)));
  }

  putDecision(decision: Decision): Promise<void> {
    const purpose = this.#purposes.get(decision.id);
    this.#purposes.delete(decision.id);
    return this.#write(
      this.#records
        .insert(decisions)
        .values({
          id: decision.id,
          at: new Date(decision.at * 1000),
          task: purpose?.task ?? null,
          attempt: purpose?.attempt ?? decision.attempt,
          body: decision,
        })
        .onConflictDoNothing(),
    );
  }

  async getDecision(id: string): Promise<Decision | undefined> {
    return (await this.find({ decision: id }))?.decision;
  }

  /** A decision, or a task's last one, with what it was for. */
  async find(
    wanted: { decision: string } | { task: string },
  ): Promise<{ decision: Decision; task: string | null; attempt: number } | undefined> {
    await this.settled();
    const [row] = await this.#records
      .select()
      .from(decisions)
      .where("task" in wanted ? eq(decisions.task, wanted.task) : eq(decisions.id, wanted.decision))
      .orderBy(desc(decisions.attempt), desc(decisions.at))
      .limit(1);
    if (row === undefined) return undefined;
    return { decision: row.body as Decision, task: row.task, attempt: row.attempt };
  }

  async #write(query: PromiseLike<unknown>): Promise<void> {
    const written = Promise.resolve(query);
    this.#lastWrite = Promise.allSettled([this.#lastWrite, written]);
    await written;
  }
}

function vectorOf(bytes: Uint8Array): Float32Array {
  // A copy: bytes of a driver may lie anywhere in a buffer.
  return new Float32Array(Uint8Array.from(bytes).buffer);
}
