import { Flags } from "@oclif/core";
import type { OutputOf } from "@queztl/api";
import { QueztlCommand, yesFlag } from "../../command.ts";
import { qctlErrors } from "../../errors.ts";
import type { View } from "../../view/view.ts";

type Forgotten = OutputOf<"brain.forget">;

const forgottenView: View<Forgotten> = {
  text: ({ experiences }) => `${experiences} runs forgotten`,
  names: ({ experiences }) => [String(experiences)],
};

const exclusive = ["experience", "kind", "before", "all"];
const but = (name: string): string[] => exclusive.filter((each) => each !== name);

export default class BrainForget extends QueztlCommand<typeof BrainForget> {
  static override summary = "Forget runs, and what was learned from them";
  static override examples = [
    "<%= config.bin %> brain forget --kind mag-survey",
    "<%= config.bin %> brain forget --before 2026-01-01T00:00:00Z --yes",
  ];
  static override flags = {
    experience: Flags.string({
      helpValue: "ID",
      exclusive: but("experience"),
      summary: "This run",
    }),
    kind: Flags.string({
      helpValue: "KIND",
      exclusive: but("kind"),
      summary: "All runs of this kind of task",
    }),
    before: Flags.string({
      helpValue: "TIME",
      exclusive: but("before"),
      summary: "All runs before this time",
    }),
    all: Flags.boolean({ default: false, exclusive: but("all"), summary: "Everything" }),
    yes: yesFlag,
  };

  async run(): Promise<Forgotten> {
    const { experience, kind, before, all, yes } = this.flags;
    const at = before === undefined ? undefined : new Date(before);
    if (at !== undefined && Number.isNaN(at.getTime())) {
      const expected = "a time such as 2026-01-01 or 2026-01-01T08:00:00Z";
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field: "--before", expected });
    }
    const wanted = {
      ...(experience === undefined ? {} : { experience }),
      ...(kind === undefined ? {} : { family: kind }),
      ...(at === undefined ? {} : { before: at.toISOString() }),
      ...(all ? { all } : {}),
    };
    if (Object.keys(wanted).length === 0) {
      const expected = "given: --experience, --kind, --before or --all";
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field: "what to forget", expected });
    }
    const what = experience ?? kind ?? (at === undefined ? "everything" : `runs before ${before}`);
    await this.confirm(`Forget ${what}? What was learned from it is lost.`, yes);
    const client = await this.connect();
    return this.show(forgottenView, await client.brain.forget.mutate(wanted));
  }
}
