import { Args, Flags } from "@oclif/core";
import { severalFlag } from "../../command-line/args.ts";
import { ImageCommand } from "../../files/image-command.ts";
import type { Image } from "../../resources.ts";

export default class ImageBuild extends ImageCommand<typeof ImageBuild> {
  static override summary = "Build an image from Debian packages";
  static override examples = [
    "<%= config.bin %> image build gdal --package gdal-bin --package python3",
    "<%= config.bin %> image build desktop --flavour generic --no-wait",
  ];
  static override args = { name: Args.string({ required: true, description: "The image's name" }) };
  static override flags = {
    package: severalFlag({
      char: "p",
      helpValue: "PACKAGE",
      summary: "A Debian package to put in",
    }),
    flavour: Flags.option({ options: ["cloud", "generic"] as const })({
      default: "cloud",
      aliases: ["flavor"],
      summary: "Which of Debian's kernels",
    }),
    wait: Flags.boolean({ default: true, allowNo: true, summary: "Whether to wait for its end" }),
  };

  async run(): Promise<Image> {
    const { package: packages, flavour, wait } = this.flags;
    const client = await this.connect();
    const begun = await client.image.build.mutate({ name: this.args.name, flavour, packages });
    return this.showMade(client, begun, wait);
  }
}
