import { QueztlCommand, watchFlag } from "../../command.ts";
import { limitFlag } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { Image } from "../../resources.ts";
import { imageListView } from "../../view/cluster.ts";

export default class ImageList extends QueztlCommand<typeof ImageList> {
  static override summary = "List images; * marks the one used where none is given";
  static override aliases = ["image:ls"];
  static override examples = ["<%= config.bin %> image list"];
  static override flags = { limit: limitFlag, watch: watchFlag };

  async run(): Promise<ListPage<Image>> {
    const { limit, watch } = this.flags;
    const client = await this.connect();
    const read = () => collect(limit, (page) => client.image.list.query(page));
    if (watch) return this.present(imageListView, read, true);
    const nothing = "no images; `qctl image build NAME` makes one";
    return this.showList(imageListView, await read(), nothing);
  }
}
