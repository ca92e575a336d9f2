import type { Task } from "@queztl/api";
import { type Decision, type Outcome as LearnedOutcome } from "@queztl/brain";
import { isQueztlError } from "@queztl/errors";
import { and, eq, inArray } from "drizzle-orm";
import { decidedResourcesOf } from "../brain/brain-service.ts";
import { persistently } from "../database/persistently.ts";
import { attempts, type StoredStep, taskFiles, tasks } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import { traced } from "../observe/tracing.ts";
import { sortableId } from "../sortable-id.ts";
import { problemOf } from "../vms/fleet.ts";
import type { GuestFile, GuestProgram, HostedVm } from "../vms/vm-host.ts";
import { readFile } from "node:fs/promises";
import { guestOverheadMib } from "../vms/vm-service.ts";
import { type AttemptEnd, outcomeOf } from "./attempt-end.ts";
import { TaskFolder } from "./task-folder.ts";
import { ProgressLines } from "./progress-lines.ts";
import { EXIT_DATA, GUEST, planTask, type TaskPlan } from "./task-plan.ts";
import { type AttemptRow, STARTED_STATES, type TaskFileRow, type TaskRow } from "./task-records.ts";
import type { RunnerParts } from "./runner-parts.ts";

type StepName = StoredStep["step"];

/** Under this name a program outlives the server that started it. */
const PROGRAM = "task";
const RESULT_FILE = "result.json";
const LARGEST_RESULT = 1_000_000;
const DEFAULT_DISK_MIB = 1024;
/** Attempts that were lost with their VM or server, not by the task's own fault, before it is given up. */
const MOST_LOST = 20;

/** Why an attempt is ended from outside. */
type Stop = "cancelled" | "deadline" | "given-back" | "let-go";

/** One run of a task, from the decision to what was learned of it. */
export class Attempt {
  readonly #parts: RunnerParts;
  readonly #task: TaskRow;
  readonly #folder: TaskFolder;
  readonly #stop = new AbortController();
  readonly #letGo = new AbortController();
  readonly #steps: StoredStep[] = [];
  #stopped: Stop | undefined;
  #program: GuestProgram | undefined;
  #decision: Decision | undefined;
  readonly #progress: ProgressLines;
  #vm: string | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(parts: RunnerParts, task: TaskRow) {
    this.#parts = parts;
    this.#task = task;
    this.#folder = new TaskFolder(parts.home, task.id);
    this.#progress = new ProgressLines(({ done, step, message }) => {
      void this.#tell("progress", `${step}: ${message}`, { done, step });
    });
  }

  /** Makes the attempt, or goes on with one that an earlier server began. */
  run(found: AttemptRow | undefined): Promise<void> {
    const { id: task, attempt } = this.#task;
    this.#done = traced("task.attempt", { task, attempt }, () => this.#run(found));
    return this.#done;
  }

  /** The task was cancelled: its row says so already. */
  cancel(): void {
    this.#end("cancelled");
  }

  /** The task goes back to the queue, for another node. */
  giveBack(): void {
    this.#end("given-back");
  }

  /** The server stops: the VM goes on, and the next server takes it over. */
  async letGo(): Promise<void> {
    this.#end("let-go");
    this.#letGo.abort(serverErrors("QZ_SERVER_STOPPING"));
    await this.#done.catch(() => undefined);
  }

  #end(why: Stop): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    this.#stop.abort(serverErrors("QZ_SERVER_STOPPING"));
    if (why !== "let-go") this.#program?.kill();
  }

  async #run(found: AttemptRow | undefined): Promise<void> {
    const { deadline } = this.#task;
    const left = deadline === null ? undefined : deadline.getTime() - Date.now();
    const timer =
      left === undefined
        ? undefined
        : setTimeout(() => this.#end("deadline"), Math.min(Math.max(0, left), 0x7fffffff));
    let end: AttemptEnd;
    try {
      end = found === undefined ? await this.#make() : await this.#goOn(found);
    } catch (cause) {
      end = this.#failed(cause);
    } finally {
      clearTimeout(timer);
    }
    // Whoever takes over finds everything as it is now.
    if (this.#stopped === "let-go") return;
    try {
      await this.#finish(end);
    } finally {
      await this.#clearAway();
    }
  }

  async #make(): Promise<AttemptEnd> {
    const { logs, reservations } = this.#parts;
    const { id: task, attempt } = this.#task;
    const inputs = await this.#inputs();
    const plan = await this.#planned(inputs);
    const decision = await this.#decide(plan, inputs);
    const size = this.#sizeFor(decision);
    await logs
      .of(task)
      .say(
        "system",
        `attempt ${attempt}: ${decision.resources.memoryMib} MiB, ${decision.resources.vcpus} CPU\n`,
      );
    await this.#tell(
      "decided",
      `${decision.resources.memoryMib} MiB, ${decision.resources.vcpus} CPU, ${decision.resources.image}`,
      { decision: decision.id, attempt, confidence: decision.confidence },
    );
    const id = await this.#step("place", async () => {
      const id = (this.#vm = sortableId("vm"));
      const { priority } = this.#task;
      await reservations.take(id, size, { priority, signal: this.#stop.signal });
      // Written before anything is started: the next server knows where to look.
      await this.#note({ vm: id });
      return id;
    });
    const vm = await this.#step("vm", () => this.#obtainVm(id, decision, size));
    await this.#step("agent", () => vm.copyIn("/", plan.files()));
    this.#stop.signal.throwIfAborted();
    const limit = decision.resources.timeLimitSeconds;
    return this.#follow(vm, plan, inputs, async () => {
      const program = await vm.run({
        command: plan.command,
        environment: { QUEZTL_TASK: task, ...plan.environment },
        directory: plan.directory,
        timeoutSeconds: limit,
        persist: PROGRAM,
        stdin: "none",
      });
      await this.#started();
      return program;
    });
  }

  /** Goes on with what an earlier server began, if its program is still there. */
  async #goOn(found: AttemptRow): Promise<AttemptEnd> {
    const { fleet, brain } = this.#parts;
    this.#steps.push(...found.steps);
    this.#vm = found.vm ?? undefined;
    this.#decision =
      found.decision === null
        ? undefined
        : (await this.#surely(() => brain.store.find({ decision: found.decision ?? "" })))
            ?.decision;
    const vm = this.#vm === undefined ? undefined : fleet.find(this.#vm);
    if (vm?.state !== "running") return { outcome: "lost" };
    const inputs = await this.#inputs();
    try {
      const plan = await this.#planned(inputs);
      return await this.#follow(vm, plan, inputs, async () => {
        const program = await vm.attach(PROGRAM);
        if (found.runningAt === null) await this.#started();
        return program;
      });
    } catch (cause) {
      // Where nothing was started yet there is nothing to take over: it is tried again.
      if (this.#stopped !== undefined) throw cause;
      return { outcome: "lost" };
    }
  }

  #inputs(): Promise<TaskFileRow[]> {
    return this.#surely(() => this.#parts.records.files(this.#task.id, "input"));
  }

  #planned(inputs: readonly TaskFileRow[]): Promise<TaskPlan> {
    const { description, input } = this.#task;
    return planTask({ description, input, files: this.#folder.planned(inputs) }, this.#parts);
  }

  /** What the task is given, and why. */
  async #decide(plan: TaskPlan, inputs: readonly TaskFileRow[]): Promise<Decision> {
    const { brain, records, settings, fleet, reservations } = this.#parts;
    const { id: task, description, input, attempt } = this.#task;
    const before = attempt > 1 ? await records.attempt(task, attempt - 1) : undefined;
    const analysis = await this.#step("analyse", async () => {
      const most = Math.min(fleet.parts.host.mostMemoryMib, reservations.capacity.memoryMib);
      const { request, limits } = input;
      const family = input.family ?? plan.skill?.manifest.name;
      const vcpus = request?.["cpu"] ?? plan.request?.vcpus;
      return brain.analyse({
        description,
        files: inputs.map(({ name, bytes }) => ({ name, bytes })),
        ...(input.data === undefined ? {} : { data: input.data }),
        ...(family === undefined ? {} : { family }),
        ...(plan.image === undefined ? {} : { image: plan.image }),
        request: {
          memoryMib:
            request?.["memoryMib"] ?? plan.request?.memoryMib ?? settings.get("tasks.memoryMib"),
          ...(vcpus === undefined ? {} : { vcpus }),
        },
        limits: {
          memoryMib: Math.min(
            limits?.["memoryMib"] ?? Infinity,
            most - guestOverheadMib(plan.image),
          ),
          vcpus: Math.min(
            limits?.["cpu"] ?? Infinity,
            fleet.parts.host.mostCpu,
            reservations.capacity.cpu,
          ),
          gpus: 0,
          diskMib: limits?.["diskMib"],
          timeSeconds: limits?.["timeSeconds"],
        },
      });
    });
    const decision = await this.#step("estimate", async () => {
      const failed =
        before?.outcome === "oom" && before.decision !== null
          ? (await brain.store.find({ decision: before.decision }))?.decision
          : undefined;
      return failed === undefined
        ? brain.estimate(analysis, task)
        : brain.retry(failed, task, attempt);
    });
    this.#decision = decision;
    await this.#note({ decision: decision.id, resources: decidedResourcesOf(decision.resources) });
    const { family, domain } = decision.task;
    await records.records.update(tasks).set({ family, domain }).where(eq(tasks.id, task));
    return decision;
  }

  /** The size of the VM: the decision and what the guest's system takes, rounded up to a template's where that is allowed. */
  #sizeFor({ resources }: Decision): { cpu: number; memoryMib: number } {
    const { fleet, reservations } = this.#parts;
    const { mostMemoryMib, mostCpu } = fleet.parts.host;
    const overheadMib = guestOverheadMib(resources.image);
    const need = {
      cpu: resources.vcpus,
      memoryMib: Math.min(resources.memoryMib + overheadMib, mostMemoryMib),
    };
    const limit = (this.#task.input.limits?.["memoryMib"] ?? Infinity) + overheadMib;
    const { sizes } = fleet.parts.host;
    const cpu = sizes.cpu.find((each) => each >= need.cpu && each <= mostCpu);
    const memoryMib = sizes.memoryMib.find(
      (each) => each >= need.memoryMib && each <= Math.min(limit, mostMemoryMib),
    );
    if (cpu === undefined || memoryMib === undefined) return need;
    const size = { cpu, memoryMib };
    return reservations.fits(size) ? size : need;
  }

  async #obtainVm(
    id: string,
    decision: Decision,
    size: { cpu: number; memoryMib: number },
  ): Promise<HostedVm> {
    const { fleet } = this.#parts;
    const { id: task, description } = this.#task;
    const by = { actor: "system" };
    const vm = await fleet.create(
      {
        id,
        name: id,
        ...size,
        diskMib: Math.max(DEFAULT_DISK_MIB, Math.ceil(decision.resources.diskMib)),
        image: decision.resources.image,
        ports: [],
        network: false,
        purpose: description.slice(0, 4096),
        task,
        decision: decision.id,
      },
      by,
      this.#stop.signal,
    );
    let said = "";
    await fleet.start(vm, by, {
      signal: this.#stop.signal,
      onProgress: (words) => {
        // A download says a hundred times how far it is; whoever follows wants to know what is done.
        const step = words.replace(/ \d+ %$/, "");
        if (step === said) return;
        said = step;
        this.#parts.logs
          .of(task)
          .say("system", `${words}\n`)
          .catch(() => undefined);
      },
    });
    return vm;
  }

  /** Follows a program to its end and keeps what it left. */
  async #follow(
    vm: HostedVm,
    plan: TaskPlan,
    inputs: readonly TaskFileRow[],
    begin: () => Promise<GuestProgram>,
  ): Promise<AttemptEnd> {
    const { logs, settings } = this.#parts;
    const { id: task } = this.#task;
    const log = logs.of(task);
    const run = await this.#step("run", async () => {
      const program = await begin();
      this.#program = program;
      if (this.#stopped !== undefined && this.#stopped !== "let-go") program.kill();
      const letGo = new Promise<undefined>((resolve) => {
        const told = () => {
          if (this.#stopped === "let-go") resolve(undefined);
        };
        this.#stop.signal.addEventListener("abort", told, { once: true });
        told();
      });
      const pump = async (stream: "stdout" | "stderr") => {
        for await (const piece of program[stream]) {
          await log.write(stream, piece);
          if (stream === "stdout" && plan.skill !== undefined) this.#progress.take(piece);
        }
      };
      const ended = Promise.all([pump("stdout"), pump("stderr"), program.done]);
      // Where the server lets go, the failure of what it read from is no news.
      ended.catch(() => undefined);
      return Promise.race([ended.then(([, , end]) => end), letGo]);
    });
    if (run === undefined || this.#stopped === "let-go") return { outcome: "lost" };
    if (this.#stopped === "cancelled") return { outcome: "cancelled", run };
    if (this.#stopped === "given-back") return { outcome: "lost", run };
    if (this.#stopped === "deadline")
      return { outcome: "timeout", run, problem: this.#deadlinePassed() };
    const outcome = outcomeOf(run);
    await this.#step("collect", async () => {
      const rows = await this.#folder.keepResults(leftBy(vm, plan), {
        inputs,
        mostMib: settings.get("tasks.resultMib"),
        passedOver: (name) => {
          const shown = JSON.stringify(name);
          log
            .say("system", `a file with an unusable name was left out: ${shown}\n`)
            .catch(() => undefined);
        },
      });
      if (outcome === "ok" && plan.skill !== undefined) {
        await this.#folder.verify(rows, plan.skill);
      }
      await this.#surely(() => this.#keepRows(rows));
    });
    const { refusal } = this.#progress;
    if (plan.skill === undefined || run.exitCode !== EXIT_DATA || refusal === undefined) {
      return { outcome, run };
    }
    const { name } = plan.skill.manifest;
    const problem = problemOf(
      serverErrors("QZ_SERVER_TASK_REFUSED", { skill: name, problem: refusal }),
    );
    return { outcome, run, problem };
  }

  async #keepRows(rows: readonly (typeof taskFiles.$inferInsert)[]): Promise<void> {
    await this.#parts.records.records.transaction(async (records) => {
      await records
        .delete(taskFiles)
        .where(and(eq(taskFiles.task, this.#task.id), eq(taskFiles.kind, "result")));
      for (let at = 0; at < rows.length; at += 1000) {
        await records.insert(taskFiles).values(rows.slice(at, at + 1000));
      }
    });
  }

  async #started(): Promise<void> {
    const { records } = this.#parts;
    const { id, attempt } = this.#task;
    await this.#note({ runningAt: new Date() });
    await this.#surely(() =>
      records.records
        .update(tasks)
        .set({ state: "running" })
        .where(and(eq(tasks.id, id), eq(tasks.attempt, attempt), eq(tasks.state, "preparing"))),
    );
    await this.#tell("started", `attempt ${attempt} runs`, { attempt, vm: this.#vm ?? "" });
  }

  #failed(cause: unknown): AttemptEnd {
    if (this.#stopped === "cancelled") return { outcome: "cancelled" };
    if (this.#stopped === "given-back" || this.#stopped === "let-go") return { outcome: "lost" };
    if (this.#stopped === "deadline")
      return { outcome: "timeout", problem: this.#deadlinePassed() };
    if (isQueztlError(cause, "QZ_BRAIN_MEMORY_CAP_REACHED")) {
      return { outcome: "oom", problem: problemOf(cause) };
    }
    this.#parts.log.warn({ err: cause, task: this.#task.id, vm: this.#vm }, "an attempt failed");
    // What a retry cannot change fails the task; what may have been the VM's or host's fault is tried again.
    const final =
      isQueztlError(cause) && ["invalid", "not-found", "exhausted", "guest"].includes(cause.status);
    return final
      ? { outcome: "failed", problem: problemOf(cause) }
      : { outcome: "lost", problem: problemOf(cause) };
  }

  #deadlinePassed(): { code: string; message: string } {
    const deadline = this.#task.deadline?.toISOString();
    return problemOf(serverErrors("QZ_SERVER_TASK_DEADLINE", { deadline }));
  }

  /** Learns, and writes down how it ended: from then on the attempt is over, whatever is killed. */
  async #finish(end: AttemptEnd): Promise<void> {
    const { records, queue, logs, metrics } = this.#parts;
    const { id, attempt } = this.#task;
    const learned = await this.#learn(end);
    const result = end.outcome === "ok" ? await this.#result() : undefined;
    const next = this.#next(end);
    const { run } = end;
    const over = await this.#surely(() =>
      records.records.transaction(async (records) => {
        await records
          .update(attempts)
          .set({
            outcome: end.outcome,
            steps: this.#steps,
            exitCode: run?.signal === null && !run.timedOut ? run.exitCode : null,
            peakMib: run?.peakMib ?? null,
            cpuSeconds: run?.cpuSeconds ?? null,
            wallSeconds: run?.wallSeconds ?? null,
            endedAt: new Date(),
          })
          .where(and(eq(attempts.task, id), eq(attempts.number, attempt)));
        const [row] = await records
          .update(tasks)
          .set({
            state: next.state,
            ...(next.state === "queued" ? {} : { endedAt: new Date() }),
            ...(end.outcome === "lost"
              ? { attemptsForgiven: this.#task.attemptsForgiven + 1 }
              : {}),
            problem: next.problem ?? null,
            learned,
            ...(result === undefined ? {} : { result: { value: result } }),
          })
          .where(
            and(
              eq(tasks.id, id),
              eq(tasks.attempt, attempt),
              inArray(tasks.state, [...STARTED_STATES]),
            ),
          )
          .returning();
        if (row !== undefined && next.state === "queued") await queue.add(records, [row]);
        return row;
      }),
    );
    metrics.attempts.inc({ outcome: end.outcome });
    const log = logs.of(id);
    if (over !== undefined) {
      await log.say("system", `${next.words}\n`);
      await this.#tell(next.event, next.words, {
        attempt,
        outcome: end.outcome,
        ...(next.problem && { code: next.problem.code }),
      });
    }
    if (next.state !== "queued" || over === undefined) {
      // A task that was cancelled may have been queued again meanwhile: then its log goes on.
      const { state } = await records.row(id);
      if (!["queued", "preparing", "running"].includes(state)) await logs.close(id);
    }
  }

  /** What becomes of the task. */
  #next({ outcome, run, problem }: AttemptEnd): {
    readonly state: Task["state"];
    readonly event: string;
    readonly words: string;
    readonly problem?: { readonly code: string; readonly message: string };
  } {
    const { attempt, attemptsAllowed, attemptsForgiven } = this.#task;
    const again = attempt - attemptsForgiven < attemptsAllowed;
    const failed = (why: { code: string; message: string }) =>
      ({ state: "failed", event: "failed", words: why.message, problem: why }) as const;
    switch (outcome) {
      case "ok":
        return { state: "succeeded", event: "succeeded", words: "succeeded" };
      case "cancelled":
        return { state: "cancelled", event: "cancelled", words: "cancelled" };
      case "oom": {
        if (problem !== undefined) return failed(problem);
        const memoryMib = this.#decision?.resources.memoryMib;
        const limit = this.#decision?.evidence.limits.memoryMib ?? Infinity;
        if (again && (memoryMib ?? 0) < limit) {
          const words = `out of memory with ${memoryMib} MiB; it is tried again with more`;
          return { state: "queued", event: "out-of-memory", words };
        }
        return failed(problemOf(serverErrors("QZ_SERVER_TASK_OUT_OF_MEMORY", { memoryMib })));
      }
      case "timeout": {
        const seconds = this.#decision?.resources.timeLimitSeconds;
        return failed(problem ?? problemOf(serverErrors("QZ_SERVER_TASK_TIME_LIMIT", { seconds })));
      }
      case "failed": {
        const exitCode = run?.exitCode ?? run?.signal ?? "unknown";
        return failed(problem ?? problemOf(serverErrors("QZ_SERVER_TASK_FAILED", { exitCode })));
      }
      case "lost": {
        if (attemptsForgiven < MOST_LOST) {
          const words = `the VM was lost${problem === undefined ? "" : ` (${problem.message})`}; it is tried again`;
          return { state: "queued", event: "lost", words };
        }
        const lost = {
          attempts: attempt,
          problem: problem?.message ?? "the server was stopped each time",
        };
        return failed(problemOf(serverErrors("QZ_SERVER_TASK_LOST", lost)));
      }
    }
  }

  async #learn({ outcome, run }: AttemptEnd): Promise<string[]> {
    const decision = this.#decision;
    if (decision === undefined || run === undefined || outcome === "lost") return [];
    const { brain } = this.#parts;
    return this.#step("learn", async () => {
      const known = brain.brain.knowledge().find(({ family }) => family === decision.task.family);
      const learned: LearnedOutcome = {
        decisionId: decision.id,
        outcome,
        peakMib: run.peakMib,
        wallSeconds: run.wallSeconds,
        cpuSeconds: run.cpuSeconds,
      };
      brain.learn(learned, decision);
      const { family } = decision.task;
      const words = [
        `${family}: a run ${outcome === "ok" ? "peaked" : "ended"} at ${Math.round(run.peakMib)} MiB after ${run.wallSeconds.toFixed(1)} s`,
      ];
      const [low, high] = decision.expected.memoryMib;
      if (known === undefined) words.push(`${family} was not known before`);
      else if (run.peakMib < low || run.peakMib > high) {
        words.push(
          `that is outside of the ${Math.round(low)} to ${Math.round(high)} MiB that were expected`,
        );
      }
      return words;
    });
  }

  /** What the task answered: the JSON value in its file `result.json`, if it left one. */
  async #result(): Promise<unknown> {
    const { records } = this.#parts;
    const files = await this.#surely(() => records.files(this.#task.id, "result"));
    const [file] = files.filter(
      ({ name, bytes }) => name === RESULT_FILE && bytes <= LARGEST_RESULT,
    );
    if (file === undefined) return undefined;
    const text = await readFile(this.#folder.pathOf(file), "utf8");
    try {
      return storable(JSON.parse(text));
    } catch {
      await this.#parts.logs.of(this.#task.id).say("system", `${RESULT_FILE} holds no JSON\n`);
      return undefined;
    }
  }

  async #clearAway(): Promise<void> {
    const { fleet, reservations, log } = this.#parts;
    if (this.#vm === undefined) return;
    const id = this.#vm;
    try {
      if (fleet.find(id) !== undefined) await fleet.destroy(id, { actor: "system" });
    } catch (error) {
      log.error({ err: error, vm: id }, "a VM could not be destroyed");
    } finally {
      reservations.release(id);
    }
  }

  #note(changes: Partial<AttemptRow>): Promise<unknown> {
    const { id, attempt } = this.#task;
    const { records } = this.#parts.records;
    return this.#surely(() =>
      records
        .update(attempts)
        .set({ ...changes, steps: this.#steps })
        .where(and(eq(attempts.task, id), eq(attempts.number, attempt))),
    );
  }

  /** Writes to the database, whatever it takes, unless the server lets go. */
  #surely<Result>(work: () => PromiseLike<Result>): Promise<Result> {
    return persistently(async () => work(), {
      signal: this.#letGo.signal,
      onRetry: (cause) => {
        this.#parts.log.warn({ err: cause, task: this.#task.id }, "the database is waited for");
      },
    });
  }

  /** Tells what happened; what nobody can be told is logged, and changes nothing. */
  async #tell(
    what: string,
    message: string,
    details: Readonly<Record<string, string | number | boolean>>,
  ): Promise<void> {
    const { events, log } = this.#parts;
    try {
      await events.record({ type: `task.${what}`, subject: this.#task.id, message, details });
    } catch (error) {
      log.warn({ err: error, task: this.#task.id }, `task.${what} could not be told`);
    }
  }

  /** Does a step and keeps how long it took. */
  async #step<Result>(step: StepName, work: () => Promise<Result>): Promise<Result> {
    const at = this.#steps.push({ step, state: "running", milliseconds: null }) - 1;
    const started = performance.now();
    const over = (state: "done" | "failed") => {
      const milliseconds = performance.now() - started;
      this.#steps[at] = { step, state, milliseconds };
      this.#parts.metrics.steps.observe({ step }, milliseconds / 1000);
    };
    try {
      const result = await traced(`task.${step}`, { task: this.#task.id }, work);
      over("done");
      return result;
    } catch (cause) {
      over("failed");
      throw cause;
    }
  }
}

/** What is taken out of a guest: a skill's output, or what a command left beside its files as well. */
async function* leftBy(vm: HostedVm, { skill }: TaskPlan): AsyncGenerator<GuestFile> {
  if (skill === undefined) yield* vm.copyOut(GUEST.files);
  yield* vm.copyOut(GUEST.output);
}

/** A guest's JSON as a database keeps it: without NUL and halves of characters. */
function storable(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replace(/\\u(?:0000|d[89a-f][0-9a-f]{2})/gi, "\\ufffd"));
}
