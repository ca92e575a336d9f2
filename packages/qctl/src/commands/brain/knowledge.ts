import { Args } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { limitFlag } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { FamilyKnowledge } from "../../resources.ts";
import { knowledgeView } from "../../view/brain.ts";

export default class BrainKnowledge extends QueztlCommand<typeof BrainKnowledge> {
  static override summary = "List what is known of each kind of task";
  static override aliases = ["brain:known"];
  static override examples = [
    "<%= config.bin %> brain knowledge",
    "<%= config.bin %> brain knowledge mag-survey -o json",
  ];
  static override args = { kind: Args.string({ description: "Only this kind of task" }) };
  static override flags = { limit: limitFlag };

  async run(): Promise<ListPage<FamilyKnowledge>> {
    const { kind } = this.args;
    const client = await this.connect();
    const list = await collect(this.flags.limit, (page) =>
      client.brain.knowledge.query({ ...page, ...(kind === undefined ? {} : { family: kind }) }),
    );
    return this.showList(knowledgeView, list, "nothing is known yet; each task that runs teaches");
  }
}
