import { randomUUID } from "node:crypto";
import { Args, Flags } from "@oclif/core";
import type { InputOf } from "@queztl/api";
import { durationFlag, QueztlCommand } from "../../command.ts";
import { severalFlag } from "../../command-line/args.ts";
import { parsePairs } from "../../command-line/pairs.ts";
import { splitPassthrough } from "../../command-line/passthrough.ts";
import { qctlErrors } from "../../errors.ts";
import { persistently } from "../../files/transfer.ts";
import type { Task } from "../../resources.ts";
import { parseMebibytes } from "../../session/quantities.ts";
import { parseData, parseDeadline, prepareFiles } from "../../task/submission.ts";
import { TaskCommand } from "../../task/task-command.ts";
import { taskView } from "../../view/task.ts";

const sizeFlag = Flags.custom<number>({
  parse: async (text, _context, { name }) => parseMebibytes(text, `--${name}`),
  helpValue: "SIZE",
});

export default class TaskSubmit extends TaskCommand<typeof TaskSubmit> {
  static override summary = "Submit a task; the brain decides what it gets";
  static override description =
    "Say what is to be done. Without a program the matching skill does it. With --wait its result is the answer; Ctrl-C then leaves it running. A submission is made once, also where the connection breaks in its midst.";
  static override aliases = ["task:run", "task:create"];
  static override usage = "task submit DESCRIPTION [FLAGS] [-- PROGRAM [WORD...]]";
  static override examples = [
    `<%= config.bin %> task submit "Process mining MAG survey" --data '{"survey_id":"MAG-001","points":50000}' --file survey.csv --wait`,
    '<%= config.bin %> task submit "Count words" --file notes.txt --command "wc -w notes.txt" --wait',
    '<%= config.bin %> task submit "Render the map" --file map.json --out results -- python3 render.py --size 4000',
  ];
  static override args = {
    description: Args.string({ required: true, description: "What is to be done, in your words" }),
  };
  static override flags = {
    data: Flags.string({
      char: "d",
      helpValue: "JSON|@FILE",
      summary: "Parameters as JSON, or a file with them",
    }),
    file: severalFlag({
      char: "f",
      helpValue: "[NAME=]PATH",
      summary: "A file to work on, of any size",
    }),
    command: Flags.string({
      char: "c",
      helpValue: "TEXT",
      summary: "A program for the guest's shell; words after -- need none",
    }),
    image: Flags.string({ char: "i", helpValue: "IMAGE", summary: "The image to run in" }),
    env: severalFlag({ char: "e", helpValue: "KEY=VALUE", summary: "An environment variable" }),
    kind: Flags.string({ helpValue: "KIND", summary: "The kind of task, where you know it" }),
    cpu: Flags.integer({ min: 1, helpValue: "N", summary: "Processors you believe it needs" }),
    memory: sizeFlag({ summary: "Memory you believe it needs" }),
    gpu: Flags.integer({ min: 0, helpValue: "N", summary: "GPUs you believe it needs" }),
    "max-cpu": Flags.integer({ min: 1, helpValue: "N", summary: "Processors it may have at most" }),
    "max-memory": sizeFlag({ summary: "Memory it may have at most" }),
    "max-time": durationFlag({ summary: "How long an attempt may take at most" }),
    deadline: Flags.string({
      helpValue: "TIME|DURATION",
      summary: "When it must be done, such as 2h or 2026-12-01T08:00Z",
    }),
    priority: Flags.integer({
      min: -1000,
      max: 1000,
      default: 0,
      helpValue: "N",
      summary: "Tasks with a higher one are started first",
    }),
    attempts: Flags.integer({
      min: 1,
      max: 10,
      default: 3,
      helpValue: "N",
      summary: "How often it may be tried at most",
    }),
    label: severalFlag({ helpValue: "KEY=VALUE", summary: "A label of yours" }),
    key: Flags.string({
      helpValue: "TEXT",
      summary: "A second submission with the same key answers with the first one's task",
    }),
    wait: Flags.boolean({
      char: "w",
      default: false,
      summary: "Wait for its end, show its result",
    }),
    out: Flags.string({
      helpValue: "DIR",
      summary: "Wait, and fetch the files that it leaves into this directory",
    }),
  };

  #program: string[] = [];

  protected override async init(): Promise<void> {
    const flags = { ...QueztlCommand.baseFlags, ...TaskSubmit.flags };
    const { own, rest } = splitPassthrough(this.argv, flags, Number.POSITIVE_INFINITY);
    this.argv = own;
    this.#program = rest;
    await super.init();
  }

  async run(): Promise<Task> {
    const { file, wait, out } = this.flags;
    const { signal } = this;
    const input = await this.input();
    const client = await this.connect();
    // A task keeps copies of its own: what was sent for it is taken back, also where it was refused.
    const task = await this.borrowing(client, async (onCreated) => {
      const files =
        file.length === 0
          ? []
          : await this.transferring("sending files", (onProgress) =>
              prepareFiles(client, file, { signal, onProgress, onCreated }),
            );
      return this.busy(
        "submitting",
        persistently(() => client.task.submit.mutate({ ...input, files }, { signal }), signal),
      );
    });
    if (!wait && out === undefined) {
      if (this.format === "text") {
        this.write(`${task.id}\n`);
        this.say(
          `\`qctl task wait ${task.id}\` waits for it, \`qctl task logs -f ${task.id}\` shows what it writes`,
        );
        return task;
      }
      return this.show(taskView, task);
    }
    return this.showEnd(client, await this.await(client, task.id), out);
  }

  private async input(): Promise<InputOf<"task.submit">> {
    const { data, command, image, env, kind, cpu, memory, gpu, deadline, key } = this.flags;
    const { "max-cpu": maxCpu, "max-memory": maxMemory, "max-time": maxTime } = this.flags;
    const { priority, attempts, label } = this.flags;
    if (command !== undefined && this.#program.length > 0) {
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
        field: "the program",
        expected: "given by --command or after --, not both",
      });
    }
    const program = command === undefined ? this.#program : ["sh", "-c", command];
    const request = defined({ cpu, memoryMib: memory, gpu });
    const limits = defined({ cpu: maxCpu, memoryMib: maxMemory, timeSeconds: maxTime });
    return {
      description: this.args.description,
      ...defined({ family: kind, image }),
      ...(data === undefined ? {} : { data: await parseData(data) }),
      ...(program.length === 0 ? {} : { command: program }),
      environment: parsePairs(env, "--env"),
      ...(Object.keys(request).length === 0 ? {} : { request }),
      ...(Object.keys(limits).length === 0 ? {} : { limits }),
      ...(deadline === undefined ? {} : { deadline: parseDeadline(deadline, new Date()) }),
      priority,
      attempts,
      labels: parsePairs(label, "--label"),
      // Made up where none is given, so that a submission whose answer was lost can be made again.
      idempotencyKey: key ?? randomUUID(),
    };
  }
}

type Defined<Fields> = { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> };

/** The fields that have a value. */
function defined<Fields extends Record<string, unknown>>(fields: Fields): Defined<Fields> {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as Defined<Fields>;
}
