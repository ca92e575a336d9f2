import { QueztlCommand, watchFlag } from "../../command.ts";
import { imageArg } from "../../command-line/args.ts";
import type { Image } from "../../resources.ts";
import { imageView } from "../../view/cluster.ts";

export default class ImageGet extends QueztlCommand<typeof ImageGet> {
  static override summary = "Show an image";
  static override aliases = ["image:show", "image:describe", "image:inspect"];
  static override examples = ["<%= config.bin %> image get debian-12"];
  static override args = { image: imageArg };
  static override flags = { watch: watchFlag };

  async run(): Promise<Image> {
    const client = await this.connect();
    const { image } = this.args;
    return this.present(imageView, () => client.image.get.query({ image }), this.flags.watch);
  }
}
