import type { z } from "zod";
import type { taskOutput } from "../schemas/task.ts";
import type { ServiceOf } from "../services.ts";
import type { FakeEvents } from "./fake-events.ts";
import { conflict, notFound, NOW, Shelf } from "./shelf.ts";

type Task = z.input<typeof taskOutput>;

const resources = {
  cpu: 1,
  memoryMib: 256,
  gpu: 0,
  diskMib: 1024,
  timeLimitSeconds: 300,
  image: "debian-12",
  sizeClass: "nano",
};

/** Tasks that end at once with the number of words of their only file, except those that sleep. */
export function fakeTasks(events: FakeEvents): {
  readonly task: ServiceOf<"task">;
  readonly explain: ServiceOf<"brain">["explain"];
} {
  const tasks = new Shelf<Task>("task");
  const keys = new Map<string, string>();
  const output = new Map<string, string>();
  const move = (task: Task, state: Task["state"]): Task => {
    task.state = state;
    events.emit("task", state, task.id);
    return task;
  };
  const chunk = (text: string) => ({ id: "log-1", at: NOW, stream: "stdout" as const, text });

  function run(task: Task, words: string): void {
    output.set(task.id, `${words.split(/\s+/).filter(Boolean).length}\n`);
    task.attempt = 1;
    task.startedAt = NOW;
    task.endedAt = NOW;
    task.attempts.push({
      number: 1,
      decision: `decision-${task.id}`,
      resources,
      vm: "vm-1",
      node: "local",
      steps: [{ step: "run", state: "done", milliseconds: 3 }],
      outcome: "ok",
      exitCode: 0,
      peakMib: 12,
      cpuSeconds: 0.1,
      wallSeconds: 0.2,
      startedAt: NOW,
      endedAt: NOW,
    });
    move(task, "succeeded");
  }

  const task: ServiceOf<"task"> = {
    async submit(input) {
      const known = input.idempotencyKey === undefined ? undefined : keys.get(input.idempotencyKey);
      if (known !== undefined) return tasks.get(known);
      const made = tasks.add({
        id: tasks.nextId(),
        description: input.description,
        family: input.family ?? "word-count",
        domain: "general",
        state: "queued",
        priority: input.priority,
        labels: input.labels,
        attempt: 0,
        createdAt: NOW,
        startedAt: null,
        endedAt: null,
        ...(input.data === undefined ? {} : { data: input.data }),
        image: input.image ?? null,
        command: input.command ?? null,
        limits: input.limits ?? null,
        deadline: input.deadline ?? null,
        attempts: [],
        problem: null,
        progress: null,
        learned: [],
      });
      if (input.idempotencyKey !== undefined) keys.set(input.idempotencyKey, made.id);
      events.emit("task", "submitted", made.id);
      if (input.command?.[0] !== "sleep") run(made, atob(input.files[0]?.data ?? ""));
      return made;
    },
    list: async ({ states, family, ...page }) =>
      tasks.page(
        page,
        (each) =>
          (states?.includes(each.state) ?? true) &&
          (family === undefined || each.family === family),
      ),
    get: async ({ task }) => tasks.get(task),
    async logs({ task }) {
      const text = output.get(tasks.get(task).id);
      return { items: text === undefined ? [] : [chunk(text)], nextCursor: null };
    },
    async *followLogs({ task }) {
      const text = output.get(tasks.get(task).id);
      if (text !== undefined) yield chunk(text);
    },
    cancel: async ({ task }) => move(tasks.get(task), "cancelled"),
    async retry({ task }) {
      const found = tasks.get(task);
      if (found.state !== "failed" && found.state !== "cancelled") {
        throw conflict(`${task} is ${found.state}`);
      }
      return move(found, "queued");
    },
    async files({ task }) {
      const text = output.get(tasks.get(task).id) ?? "";
      return {
        items: [{ name: "count.txt", bytes: text.length, sha256: "0".repeat(64) }],
        nextCursor: null,
      };
    },
    async readFile({ task, name }) {
      const text = output.get(tasks.get(task).id);
      if (text === undefined || name !== "count.txt") throw notFound("file", name);
      return { data: btoa(text), offset: 0, bytes: text.length };
    },
  };

  const explain: ServiceOf<"brain">["explain"] = async (wanted) => {
    const found = tasks.all.find(
      ({ id }) => id === wanted.task || `decision-${id}` === wanted.decision,
    );
    if (found === undefined) throw notFound("decision", wanted.decision ?? wanted.task ?? "");
    return {
      decision: `decision-${found.id}`,
      at: NOW,
      task: found.id,
      attempt: 1,
      family: "word-count",
      domain: "general",
      domainConfidence: 0.9,
      inputBytes: 14,
      resources,
      expectedMemoryMib: { low: 10, high: 20 },
      expectedSeconds: null,
      confidence: 0.9,
      reasons: ["nothing is known yet"],
      recalled: [],
      considered: [],
      repeats: true,
      text: "256 MiB",
    };
  };
  return { task, explain };
}
