import { basename } from "node:path";
import { Args, Flags } from "@oclif/core";
import { yesFlag } from "../../command.ts";
import { TransferCommand } from "../../files/transfer-command.ts";
import { uploadFile } from "../../files/transfer.ts";
import type { BrainStatus } from "../../resources.ts";
import { brainStatusView } from "../../view/brain.ts";

export default class BrainImport extends TransferCommand<typeof BrainImport> {
  static override summary = "Take in the knowledge of an exported file";
  static override examples = [
    "<%= config.bin %> brain import knowledge.json",
    "<%= config.bin %> brain import knowledge.json --replace --yes",
  ];
  static override args = {
    path: Args.string({ required: true, description: "A file from `brain export`" }),
  };
  static override flags = {
    replace: Flags.boolean({
      default: false,
      summary: "Put it in the place of what is known, instead of adding it",
    }),
    yes: yesFlag,
  };

  async run(): Promise<BrainStatus> {
    const { path } = this.args;
    const { replace, yes } = this.flags;
    const { signal } = this;
    if (replace) await this.confirm("Replace all that the brain knows?", yes);
    const client = await this.connect();
    const status = await this.borrowing(client, async (onCreated) => {
      const file = await this.transferring("sending", (onProgress) =>
        uploadFile(client, { path, name: basename(path), signal, onProgress, onCreated }),
      );
      const mode = replace ? "replace" : "merge";
      const call = client.brain.import.mutate({ file: file.id, mode }, { signal });
      return this.busy("taking it in", call);
    });
    return this.show(brainStatusView, status);
  }
}
