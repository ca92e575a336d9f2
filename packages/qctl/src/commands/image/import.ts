import { basename } from "node:path";
import { Args, Flags } from "@oclif/core";
import { ImageCommand } from "../../files/image-command.ts";
import { uploadFile } from "../../files/transfer.ts";
import type { Image } from "../../resources.ts";

export default class ImageImport extends ImageCommand<typeof ImageImport> {
  static override summary = "Import an image: a root file system in a tar archive";
  static override examples = ["<%= config.bin %> image import alpine alpine-minirootfs.tar.gz"];
  static override args = {
    name: Args.string({ required: true, description: "The image's name" }),
    source: Args.string({
      required: true,
      description: "The path of an archive here; it may be gzip, xz or zstd",
    }),
  };
  static override flags = {
    wait: Flags.boolean({ default: true, allowNo: true, summary: "Whether to wait for its end" }),
  };

  async run(): Promise<Image> {
    const { name, source } = this.args;
    const { signal } = this;
    const client = await this.connect();
    const file = await this.transferring(`sending ${basename(source)}`, (onProgress) =>
      uploadFile(client, { path: source, name: basename(source), signal, onProgress }),
    );
    const begun = await client.image.import.mutate({ name, file: file.id });
    return this.showMade(client, begun, this.flags.wait);
  }
}
