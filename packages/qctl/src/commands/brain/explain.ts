import { Args, Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { qctlErrors } from "../../errors.ts";
import type { Explanation } from "../../resources.ts";
import { explanationView } from "../../view/brain.ts";

export default class BrainExplain extends QueztlCommand<typeof BrainExplain> {
  static override summary = "Explain a decision: what, how sure, why, and what else was considered";
  static override aliases = ["task:explain"];
  static override examples = [
    "<%= config.bin %> brain explain TASK",
    "<%= config.bin %> brain explain TASK -o wide",
    "<%= config.bin %> brain explain --decision DECISION",
  ];
  static override args = { task: Args.string({ description: "The task: its last decision" }) };
  static override flags = {
    decision: Flags.string({
      helpValue: "ID",
      summary: "A decision, such as one behind a VM's size",
    }),
  };

  async run(): Promise<Explanation> {
    const { task } = this.args;
    const { decision } = this.flags;
    if ((task === undefined) === (decision === undefined)) {
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
        field: "what to explain",
        expected: "a task's id, or --decision with a decision's",
      });
    }
    const client = await this.connect();
    const wanted = task === undefined ? { decision } : { task };
    return this.show(explanationView, await client.brain.explain.query(wanted));
  }
}
