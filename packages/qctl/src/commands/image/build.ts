import { Args, Flags } from "@oclif/core";
import { ImageCommand } from "../../files/image-command.ts";
import type { Image } from "../../resources.ts";

export default class ImageBuild extends ImageCommand<typeof ImageBuild> {
  static override summary = "Make an image of Queztl's own before it is needed";
  static override examples = [
    "<%= config.bin %> image build python",
    "<%= config.bin %> image build debian --no-wait",
  ];
  static override args = {
    name: Args.string({
      required: true,
      description: "base, debian, python, as the list has them",
    }),
  };
  static override flags = {
    wait: Flags.boolean({ default: true, allowNo: true, summary: "Whether to wait for its end" }),
  };

  async run(): Promise<Image> {
    const client = await this.connect();
    const begun = await client.image.build.mutate({ name: this.args.name });
    return this.showMade(client, begun, this.flags.wait);
  }
}
