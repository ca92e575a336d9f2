import { Args } from "@oclif/core";
import { qctlErrors } from "../../errors.ts";
import { TransferCommand } from "../../files/transfer-command.ts";
import { byteSize } from "../../view/units.ts";
import type { View } from "../../view/view.ts";
import { copyIn, copyOut } from "../../vm/copy.ts";
import { parsePlace } from "../../vm/place.ts";

/** What was copied. */
interface Copied {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

const copiedView: View<Copied> = { text: () => "", names: ({ to }) => [to] };

export default class VmCp extends TransferCommand<typeof VmCp> {
  static override summary = "Copy files and directories into a VM or out of it";
  static override description =
    "A path in a VM is VM:/PATH; VM:PATH lies in /root. `-` is standard input or output. Directories travel as a tar stream, so the guest needs tar for them.";
  static override aliases = ["vm:copy", "cp"];
  static override examples = [
    "<%= config.bin %> vm cp survey.csv web:/root/",
    "<%= config.bin %> vm cp web:/var/log/messages .",
    "<%= config.bin %> vm cp site web:/srv",
    "<%= config.bin %> vm cp web:/etc/hostname -",
  ];
  static override args = {
    from: Args.string({ required: true, description: "What to copy" }),
    to: Args.string({ required: true, description: "Where to" }),
  };

  async run(): Promise<Copied> {
    const { from, to } = this.args;
    const source = parsePlace(from);
    const sink = parsePlace(to);
    if ((source.vm === undefined) === (sink.vm === undefined)) {
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
        field: "one of the two paths",
        expected: "in a VM (VM:/PATH) and the other one here",
      });
    }
    const { target, signal } = this;
    const client = await this.connect(target);
    const common = { client, server: target.server, signal };
    const bytes = await this.transferring(`copying ${from} to ${to}`, (onProgress) =>
      source.vm === undefined
        ? copyIn({ ...common, vm: sink.vm ?? "", here: from, there: sink.path, onProgress })
        : copyOut({ ...common, vm: source.vm, here: to, there: source.path, onProgress }),
    );
    if (to !== "-") this.say(`copied ${byteSize(bytes)}`);
    const copied = { from, to, bytes };
    return to === "-" ? copied : this.show(copiedView, copied);
  }
}
