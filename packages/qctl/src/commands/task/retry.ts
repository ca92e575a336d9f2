import { Flags } from "@oclif/core";
import { taskArg } from "../../command-line/args.ts";
import type { Task } from "../../resources.ts";
import { TaskCommand } from "../../task/task-command.ts";
import { taskStatesView, taskView } from "../../view/task.ts";

export default class TaskRetry extends TaskCommand<typeof TaskRetry> {
  static override summary = "Queue a failed or cancelled task again";
  static override examples = ["<%= config.bin %> task retry TASK --wait"];
  static override args = { task: taskArg };
  static override flags = {
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

  async run(): Promise<Task> {
    const { wait, out } = this.flags;
    const client = await this.connect();
    const task = await client.task.retry.mutate({ task: this.args.task });
    if (wait || out !== undefined) {
      return this.showEnd(client, await this.await(client, task.id), out);
    }
    if (this.format !== "text") return this.show(taskView, task);
    await this.show(taskStatesView, { items: [task] });
    return task;
  }
}
