import { taskArg } from "../../command-line/args.ts";
import { LogCommand, logFlags } from "../../logs/log-command.ts";

export default class TaskLogs extends LogCommand<typeof TaskLogs> {
  static override summary = "Show what a task wrote";
  static override aliases = ["task:log"];
  static override examples = [
    "<%= config.bin %> task logs TASK",
    "<%= config.bin %> task logs TASK -f --stream stdout",
  ];
  static override args = { task: taskArg };
  static override flags = logFlags;

  async run(): Promise<void> {
    const { task } = this.args;
    const client = await this.connect();
    await this.showLog(
      {
        page: (input) => client.task.logs.query({ task, ...input }),
        follow: (input, signal) => client.task.followLogs.subscribe({ task, ...input }, { signal }),
      },
      this.flags,
    );
  }
}
