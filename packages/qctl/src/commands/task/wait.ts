import { Flags } from "@oclif/core";
import { taskArg } from "../../command-line/args.ts";
import type { Task } from "../../resources.ts";
import { TaskCommand } from "../../task/task-command.ts";

export default class TaskWait extends TaskCommand<typeof TaskWait> {
  static override summary = "Wait for a task's end, and show its result";
  static override examples = [
    "<%= config.bin %> task wait TASK",
    "<%= config.bin %> task wait TASK --timeout 10m --out results",
  ];
  static override args = { task: taskArg };
  static override flags = {
    out: Flags.string({
      helpValue: "DIR",
      summary: "Fetch the files that it leaves into this directory",
    }),
  };

  async run(): Promise<Task> {
    const client = await this.connect();
    const task = await this.await(client, this.args.task);
    return this.showEnd(client, task, this.flags.out);
  }
}
