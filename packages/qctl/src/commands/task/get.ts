import { QueztlCommand, watchFlag } from "../../command.ts";
import { taskArg } from "../../command-line/args.ts";
import type { Task } from "../../resources.ts";
import { taskView } from "../../view/task.ts";

export default class TaskGet extends QueztlCommand<typeof TaskGet> {
  static override summary = "Show a task with its attempts and its result";
  static override aliases = ["task:show", "task:describe", "task:inspect"];
  static override examples = [
    "<%= config.bin %> task get TASK",
    { description: "With every step", command: "<%= config.bin %> task get TASK -o wide" },
  ];
  static override args = { task: taskArg };
  static override flags = { watch: watchFlag };

  async run(): Promise<Task> {
    const client = await this.connect();
    const { task } = this.args;
    return this.present(taskView, () => client.task.get.query({ task }), this.flags.watch);
  }
}
