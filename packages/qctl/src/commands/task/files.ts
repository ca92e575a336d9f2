import { Flags } from "@oclif/core";
import { limitFlag, taskArg } from "../../command-line/args.ts";
import { collect } from "../../command-line/pages.ts";
import type { ResultFile } from "../../resources.ts";
import { TaskCommand } from "../../task/task-command.ts";
import type { Items } from "../../view/list-view.ts";
import { resultFileListView } from "../../view/task.ts";

export default class TaskFiles extends TaskCommand<typeof TaskFiles> {
  static override summary = "List the files that a task has left, or fetch them";
  static override examples = [
    "<%= config.bin %> task files TASK",
    "<%= config.bin %> task files TASK --out results",
  ];
  static override aliases = ["task:download", "task:fetch"];
  static override args = { task: taskArg };
  static override flags = {
    out: Flags.string({ helpValue: "DIR", summary: "Fetch them all into this directory" }),
    limit: limitFlag,
  };

  async run(): Promise<Items<ResultFile>> {
    const { task } = this.args;
    const { out, limit } = this.flags;
    const client = await this.connect();
    if (out !== undefined) {
      const items = await this.fetchFiles(client, task, out);
      return this.format === "text" ? { items } : this.show(resultFileListView, { items });
    }
    const list = await collect(limit, (page) => client.task.files.query({ task, ...page }));
    return this.showList<Items<ResultFile>>(resultFileListView, list, `${task} has left no files`);
  }
}
