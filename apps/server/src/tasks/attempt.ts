import type { Decision } from "@queztl/brain";
import { serverErrors } from "../errors.ts";
import type { Amount } from "../nodes/capacity.ts";
import { traced } from "../observe/tracing.ts";
import { sortableId } from "../sortable-id.ts";
import { problemOf } from "../vms/fleet.ts";
import type { GuestProgram, HostedVm, RunEnd } from "../vms/vm-host.ts";
import { decide, diskFor, sizeFor } from "./attempt-decision.ts";
import {
  type AttemptEnd,
  endOfFailure,
  endOfStopped,
  nextAfter,
  outcomeOf,
  type Stop,
} from "./attempt-end.ts";
import { learnFrom } from "./attempt-learning.ts";
import { AttemptRecords } from "./attempt-records.ts";
import { answerIn, collectResults } from "./attempt-results.ts";
import { AttemptSteps } from "./attempt-steps.ts";
import { lastWords } from "./last-words.ts";
import { ProgressLines } from "./progress-lines.ts";
import type { RunnerParts } from "./runner-parts.ts";
import { TaskFolder } from "./task-folder.ts";
import { EXIT_DATA, planTask, type TaskPlan } from "./task-plan.ts";
import { type AttemptRow, LIVE_STATES, type TaskFileRow, type TaskRow } from "./task-records.ts";

/** Under this name a program outlives the server that started it. */
const PROGRAM = "task";
/** What is under way where a VM has to wait for what it starts from. */
const MAKING = "making its image and template";
/** A guest that has not taken the task's files by then is as good as lost. */
const LONGEST_COPY_MS = 1_800_000;

/** What an attempt works on: the task's files and what is to be run. */
interface Work {
  readonly inputs: readonly TaskFileRow[];
  readonly plan: TaskPlan;
}

/** One run of a task, from the decision to what was learned of it. */
export class Attempt {
  readonly #parts: RunnerParts;
  readonly #task: TaskRow;
  readonly #folder: TaskFolder;
  readonly #steps: AttemptSteps;
  readonly #records: AttemptRecords;
  readonly #progress: ProgressLines;
  readonly #stop = new AbortController();
  readonly #letGo = new AbortController();
  #stopped: Stop | undefined;
  #program: GuestProgram | undefined;
  #decision: Decision | undefined;
  #vm: string | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(parts: RunnerParts, task: TaskRow) {
    this.#parts = parts;
    this.#task = task;
    this.#folder = new TaskFolder(parts.home, task.id);
    this.#steps = new AttemptSteps(task.id, parts.metrics);
    this.#records = new AttemptRecords(parts, task, this.#steps, this.#letGo.signal);
    this.#progress = new ProgressLines((progress) => {
      const { done, step, message } = progress;
      const words = [step, message].filter(Boolean).join(": ");
      parts.records.progress.set(task.id, progress);
      this.#log.say("system", `${Math.round(done * 100)}% ${words}\n`).catch(() => undefined);
      void this.#tell("progress", words, { done, step });
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
    if (end.outcome === "lost") await this.#keepLastWords();
    // Whoever takes over finds everything as it is now.
    if (this.#stopped === "let-go") return;
    try {
      await this.#finish(end);
    } finally {
      this.#parts.records.progress.delete(this.#task.id);
      await this.#clearAway();
    }
  }

  async #make(): Promise<AttemptEnd> {
    const { reservations } = this.#parts;
    const { id: task, attempt, priority } = this.#task;
    const work = await this.#work();
    const { plan, inputs } = work;
    const decision = (this.#decision = await decide(this.#parts, {
      task: this.#task,
      plan,
      inputs,
      steps: this.#steps,
    }));
    await this.#records.decided(decision);
    const { memoryMib, vcpus, image } = decision.resources;
    await this.#log.say("system", `attempt ${attempt}: ${memoryMib} MiB, ${vcpus} CPU\n`);
    await this.#tell("decided", `${memoryMib} MiB, ${vcpus} CPU, ${image}`, {
      decision: decision.id,
      attempt,
      confidence: decision.confidence,
    });
    const { id, size } = await this.#steps.take("place", async () => {
      const size = await sizeFor(this.#parts, this.#task, decision);
      const id = (this.#vm = sortableId("vm"));
      if (reservations.waiting > 0 || !reservations.tryTake(id, size)) {
        await this.#records.reached();
        await this.#log.say("system", `${this.#waiting(size)}\n`);
        await reservations.take(id, size, { priority, signal: this.#stop.signal });
      }
      await this.#records.placed(id);
      return { id, size };
    });
    const vm = await this.#steps.take("vm", async () => {
      await this.#records.reached();
      return this.#obtainVm(id, decision, size);
    });
    await this.#steps.take("agent", async () => {
      await this.#records.reached();
      const limit = AbortSignal.timeout(LONGEST_COPY_MS);
      await vm.copyIn("/", plan.files(), AbortSignal.any([this.#stop.signal, limit]));
    });
    this.#stop.signal.throwIfAborted();
    return this.#follow(vm, work, async () => {
      const program = await vm.run({
        command: plan.command,
        environment: { QUEZTL_TASK: task, ...plan.environment },
        directory: plan.directory,
        timeoutSeconds: decision.resources.timeLimitSeconds,
        persist: PROGRAM,
        stdin: "none",
      });
      await this.#started();
      return program;
    });
  }

  /** Goes on with what an earlier server began, if its program is still there. */
  async #goOn(found: AttemptRow): Promise<AttemptEnd> {
    this.#steps.resume(found.steps);
    this.#vm = found.vm ?? undefined;
    if (found.decision !== null) this.#decision = await this.#records.decision(found.decision);
    const vm = this.#vm === undefined ? undefined : this.#parts.fleet.find(this.#vm);
    if (vm?.state !== "running") return { outcome: "lost" };
    try {
      return await this.#follow(vm, await this.#work(), async () => {
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

  async #work(): Promise<Work> {
    const inputs = await this.#records.files("input");
    const { description, input } = this.#task;
    const files = this.#folder.planned(inputs);
    return { inputs, plan: await planTask({ description, input, files }, this.#parts) };
  }

  /** What a placement waits for. */
  #waiting({ cpu, memoryMib }: Amount): string {
    const { used, capacity, waiting } = this.#parts.reservations;
    const given = `${used.cpu} of ${capacity.cpu} CPU and ${used.memoryMib} of ${capacity.memoryMib} MiB are given to VMs`;
    const before = waiting > 0 ? `, and ${waiting} tasks wait as well` : "";
    return `waits for ${cpu} CPU and ${memoryMib} MiB: ${given}${before}`;
  }

  async #obtainVm(id: string, decision: Decision, size: Amount): Promise<HostedVm> {
    const { fleet } = this.#parts;
    const { id: task, description } = this.#task;
    const by = { actor: "system" };
    const vm = await fleet.create(
      {
        id,
        name: id,
        ...size,
        diskMib: diskFor(this.#task, decision),
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
        this.#parts.records.progress.set(task, { done: 0, step: MAKING, message: step });
        this.#log.say("system", `${words}\n`).catch(() => undefined);
      },
    });
    this.#parts.records.progress.delete(task);
    return vm;
  }

  /** Follows a program to its end and keeps what it left. */
  async #follow(
    vm: HostedVm,
    { plan, inputs }: Work,
    begin: () => Promise<GuestProgram>,
  ): Promise<AttemptEnd> {
    const run = await this.#steps.take("run", async () => {
      const program = (this.#program = await begin());
      if (this.#stopped !== undefined && this.#stopped !== "let-go") program.kill();
      return this.#ended(program, plan);
    });
    if (run === undefined) return { outcome: "lost" };
    if (this.#stopped !== undefined) return { ...endOfStopped(this.#stopped, this.#task), run };
    const outcome = outcomeOf(run);
    await this.#steps.take("collect", async () => {
      const rows = await collectResults(vm, {
        plan,
        inputs,
        folder: this.#folder,
        log: this.#log,
        mostMib: this.#parts.settings.get("tasks.resultMib"),
        succeeded: outcome === "ok",
      });
      await this.#records.keepResults(rows);
    });
    const { refusal } = this.#progress;
    if (plan.program === undefined || run.exitCode !== EXIT_DATA || refusal === undefined) {
      return { outcome, run };
    }
    const skill = plan.program.manifest.name;
    const refused = serverErrors("QZ_SERVER_TASK_REFUSED", { skill, problem: refusal });
    return { outcome, run, problem: problemOf(refused) };
  }

  /** Keeps what a program writes until it ends; undefined where the server lets go before. */
  async #ended(program: GuestProgram, plan: TaskPlan): Promise<RunEnd | undefined> {
    const letGo = new Promise<undefined>((resolve) => {
      const told = () => {
        if (this.#stopped === "let-go") resolve(undefined);
      };
      this.#stop.signal.addEventListener("abort", told, { once: true });
      told();
    });
    const pump = async (stream: "stdout" | "stderr") => {
      for await (const piece of program[stream]) {
        const told = stream === "stdout" && plan.program !== undefined;
        await this.#log.write(stream, told ? this.#progress.take(piece) : piece);
      }
      if (stream === "stdout") await this.#log.write(stream, this.#progress.end());
    };
    const ended = Promise.all([pump("stdout"), pump("stderr"), program.done]);
    // Where the server lets go, the failure of what it read from is no news.
    ended.catch(() => undefined);
    return Promise.race([ended.then(([, , end]) => end), letGo]);
  }

  async #started(): Promise<void> {
    const { attempt } = this.#task;
    await this.#records.started();
    await this.#tell("started", `attempt ${attempt} runs`, { attempt, vm: this.#vm ?? "" });
  }

  #failed(cause: unknown): AttemptEnd {
    if (this.#stopped !== undefined) return endOfStopped(this.#stopped, this.#task);
    this.#parts.log.warn({ err: cause, task: this.#task.id, vm: this.#vm }, "an attempt failed");
    return endOfFailure(cause);
  }

  /** Before the VM goes, what its console can tell of why it was lost. */
  async #keepLastWords(): Promise<void> {
    if (this.#stopped === "let-go" || this.#vm === undefined) return;
    const words = await lastWords(this.#parts.fleet.find(this.#vm));
    if (words !== undefined)
      await this.#log.say("system", `the VM's console said last:\n${words}\n`);
  }

  /** Learns, and writes down how it ended. */
  async #finish(end: AttemptEnd): Promise<void> {
    const { records, logs, metrics } = this.#parts;
    const { id, attempt } = this.#task;
    const { outcome } = end;
    const learned = await this.#learn(end);
    const result =
      outcome === "ok"
        ? await answerIn(await this.#records.files("result"), this.#folder, this.#log)
        : undefined;
    const next = nextAfter(end, this.#task, this.#decision);
    const over = await this.#records.ended({ end, next, learned, result });
    metrics.attempts.inc({ outcome });
    if (over) {
      await this.#log.say("system", `${next.words}\n`);
      const code = next.problem && { code: next.problem.code };
      await this.#tell(next.event, next.words, { attempt, outcome, ...code });
      if (next.state === "queued") return;
    }
    // A task that was cancelled may have been queued again meanwhile: then its log goes on.
    const { state } = await records.row(id);
    if (!(LIVE_STATES as readonly string[]).includes(state)) await logs.close(id);
  }

  async #learn({ outcome, run }: AttemptEnd): Promise<string[]> {
    const decision = this.#decision;
    if (decision === undefined || run === undefined || outcome === "lost") return [];
    return this.#steps.take("learn", async () =>
      learnFrom(this.#parts.brain, decision, { outcome, run }),
    );
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

  get #log() {
    return this.#parts.logs.of(this.#task.id);
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
}
