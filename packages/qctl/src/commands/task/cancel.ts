import { Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { tasksArg } from "../../command-line/args.ts";
import type { Task } from "../../resources.ts";
import { taskStatesView } from "../../view/task.ts";

export default class TaskCancel extends QueztlCommand<typeof TaskCancel> {
  static override summary = "Cancel tasks; running ones are stopped";
  static override aliases = ["task:stop", "task:kill"];
  static override examples = ['<%= config.bin %> task cancel TASK --reason "the wrong survey"'];
  static override args = { task: tasksArg };
  static override flags = {
    reason: Flags.string({ helpValue: "TEXT", summary: "Why, for whoever looks later" }),
  };

  async run(): Promise<readonly Task[]> {
    const { reason } = this.flags;
    const client = await this.connect();
    const items: Task[] = [];
    for (const task of this.args.task) {
      const call = client.task.cancel.mutate({ task, ...(reason === undefined ? {} : { reason }) });
      items.push(await this.busy(`cancelling ${task}`, call));
    }
    await this.show(taskStatesView, { items });
    return items;
  }
}
