import { setTimeout as sleep } from "node:timers/promises";
import { type ApiEvent, followEvents, type QueztlClient } from "@queztl/api";
import { QueztlServer } from "./queztl-server.ts";

/** What a task's way took, in milliseconds: each step, and `submit`, from its submission to the start of its command. */
export type TaskWay = ReadonlyMap<string, number>;

/** Until then the brain has found what the task needs, and there are templates of the sizes that it tries. */
const WARM_UP_TASKS = 12;
/** By then the next process stands by. */
const PAUSE_MS = 3500;

/** Short tasks of a server, one after the other, each in a VM of its own made from a template. */
export class TaskWays {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #ways: Promise<TaskWay>[] = [];
  readonly #heard = new Map<string | null, ApiEvent[]>();
  readonly #leave = new AbortController();
  #server: Promise<QueztlServer> | undefined;

  constructor(environment: Readonly<Record<string, string>>) {
    this.#environment = environment;
  }

  /** That of one of the tasks, which is run the first time that it is asked for. */
  at(index: number): Promise<TaskWay> {
    return (this.#ways[index] ??= this.#run(index));
  }

  async stop(): Promise<void> {
    this.#leave.abort();
    await (await this.#server)?.stop();
  }

  async #run(index: number): Promise<TaskWay> {
    if (index > 0) await this.at(index - 1);
    const { client } = await (this.#server ??= this.#start());
    await sleep(PAUSE_MS);
    return this.#way(client);
  }

  async #way(client: QueztlClient): Promise<TaskWay> {
    const submitted = Date.now();
    const { id: task } = await client.task.submit.mutate({
      description: "Count the words of a file",
      command: ["sh", "-c", "wc -w <words.txt"],
      files: [{ name: "words.txt", data: btoa("one two three\n") }],
    });
    const started = await this.#event("task.started", task);
    await this.#event("task.succeeded", task);
    const { attempts } = await client.task.get.query({ task });
    const steps = attempts.at(-1)?.steps ?? [];
    return new Map([
      ["submit", Date.parse(started.at) - submitted],
      ...steps.map(({ step, milliseconds }) => [step, milliseconds ?? Number.NaN] as const),
    ]);
  }

  async #start(): Promise<QueztlServer> {
    const server = await QueztlServer.start(this.#environment);
    void this.#hear(server);
    await sleep(1000);
    for (let task = 0; task < WARM_UP_TASKS; task += 1) await this.#way(server.client);
    return server;
  }

  async #hear({ client }: QueztlServer): Promise<void> {
    const events = followEvents(client, { topics: ["task"], signal: this.#leave.signal });
    for await (const event of events) {
      this.#heard.set(event.subject, [...(this.#heard.get(event.subject) ?? []), event]);
    }
  }

  async #event(type: string, task: string): Promise<ApiEvent> {
    for (;;) {
      const heard = this.#heard.get(task) ?? [];
      const found = heard.find((event) => event.type === type);
      if (found !== undefined) return found;
      const failed = heard.find((event) => event.type === "task.failed");
      if (failed !== undefined) throw new Error(failed.message);
      await sleep(20);
    }
  }
}
