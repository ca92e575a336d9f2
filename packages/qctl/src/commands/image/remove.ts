import { Flags } from "@oclif/core";
import { QueztlCommand, yesFlag } from "../../command.ts";
import { imageArg } from "../../command-line/args.ts";
import type { Image } from "../../resources.ts";
import { imageView } from "../../view/cluster.ts";

export default class ImageRemove extends QueztlCommand<typeof ImageRemove> {
  static override summary = "Remove an image that no VM uses";
  static override aliases = ["image:rm", "image:delete"];
  static override examples = ["<%= config.bin %> image remove gdal --yes"];
  static override args = { image: imageArg };
  static override flags = {
    force: Flags.boolean({
      char: "f",
      default: false,
      summary: "Also with templates made from it",
    }),
    yes: yesFlag,
  };

  async run(): Promise<Image> {
    const { image } = this.args;
    await this.confirm(`Remove the image ${image}?`, this.flags.yes);
    const client = await this.connect();
    const removed = await client.image.remove.mutate({ image, force: this.flags.force });
    this.say(`the image ${removed.name} is removed`);
    return this.format === "text" ? removed : this.show(imageView, removed);
  }
}
