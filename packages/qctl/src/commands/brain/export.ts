import { Args } from "@oclif/core";
import { TransferCommand } from "../../files/transfer-command.ts";
import { downloadFile, readAll } from "../../files/transfer.ts";
import type { StoredFile } from "../../resources.ts";
import { byteSize } from "../../view/units.ts";

export default class BrainExport extends TransferCommand<typeof BrainExport> {
  static override summary = "Write all knowledge to a file";
  static override examples = [
    "<%= config.bin %> brain export knowledge.json",
    "<%= config.bin %> brain export - | gzip > knowledge.json.gz",
  ];
  static override args = {
    path: Args.string({ required: true, description: "The file to write; - for standard output" }),
  };

  async run(): Promise<StoredFile> {
    const { path } = this.args;
    const { signal } = this;
    const client = await this.connect();
    const file = await this.busy("writing down", client.brain.export.mutate({}));
    const read = (offset: number) => client.file.read.query({ file: file.id, offset }, { signal });
    await this.transferring<unknown>("fetching", (onProgress) =>
      path === "-"
        ? readAll({ read, signal, onProgress }, async (data) => this.write(data))
        : downloadFile({ read, path, signal, onProgress, sha256: file.sha256 ?? undefined }),
    );
    // Nobody needs the server's copy any more; it ends by itself where this fails.
    await client.file.remove.mutate({ file: file.id }).catch(() => undefined);
    if (path !== "-") this.say(`${path} (${byteSize(file.bytes)})`);
    return file;
  }
}
