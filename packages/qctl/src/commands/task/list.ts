import { Flags } from "@oclif/core";
import type { InputOf } from "@queztl/api";
import { QueztlCommand, watchFlag } from "../../command.ts";
import { limitFlag } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { TaskSummary } from "../../resources.ts";
import { taskListView } from "../../view/task.ts";

const STATES = ["queued", "preparing", "running", "succeeded", "failed", "cancelled"] as const;

export default class TaskList extends QueztlCommand<typeof TaskList> {
  static override summary = "List tasks, the newest first";
  static override aliases = ["task:ls", "task:ps"];
  static override examples = [
    "<%= config.bin %> task list",
    "<%= config.bin %> task list --state running --state queued --watch",
  ];
  static override flags = {
    state: Flags.option({ options: STATES, multiple: true, multipleNonGreedy: true })({
      char: "s",
      summary: "Only in this state",
    }),
    kind: Flags.string({ helpValue: "KIND", summary: "Only of this kind" }),
    limit: limitFlag,
    watch: watchFlag,
  };

  async run(): Promise<ListPage<TaskSummary>> {
    const { state, kind, limit, watch } = this.flags;
    const client = await this.connect();
    const wanted: InputOf<"task.list"> = {
      ...(state === undefined ? {} : { states: state }),
      ...(kind === undefined ? {} : { family: kind }),
    };
    const read = () => collect(limit, (page) => client.task.list.query({ ...wanted, ...page }));
    if (watch) return this.present(taskListView, read, true);
    const list = await read();
    const nothing = 'no tasks; `qctl task submit "What is to be done"` makes one';
    return this.showList(taskListView, list, nothing);
  }
}
