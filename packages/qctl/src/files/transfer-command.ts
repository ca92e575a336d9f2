import type { Command } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { QueztlCommand } from "../command.ts";
import { byteSize, percent } from "../view/units.ts";
import type { Progress } from "./transfer.ts";

/** A command that moves files, and shows how far it is. */
export abstract class TransferCommand<Class extends typeof Command> extends QueztlCommand<Class> {
  /** Shows the progress of one transfer while it lasts. */
  protected async transferring<Answer>(
    what: string,
    work: (onProgress: Progress) => Promise<Answer>,
  ): Promise<Answer> {
    let state = "";
    const onProgress: Progress = (bytes, of) => {
      const share = of === 0 ? "" : ` of ${byteSize(of)} (${percent(Math.min(1, bytes / of))})`;
      state = ` ${byteSize(bytes)}${share}`;
    };
    if (!this.isLive) return work(onProgress);
    const region = await this.openRegion();
    region.draw((spinner, { paint }) => `${spinner} ${what}${paint("dim", state)}`);
    try {
      return await work(onProgress);
    } finally {
      this.closeRegion();
    }
  }

  /** Does something with files that are on the server for its sake only; then they are taken away again. */
  protected async borrowing<Answer>(
    client: QueztlClient,
    work: (onCreated: (id: string) => void) => Promise<Answer>,
  ): Promise<Answer> {
    const created: string[] = [];
    try {
      return await work((id) => created.push(id));
    } finally {
      // The server takes away in time what this does not.
      for (const file of created) await client.file.remove.mutate({ file }).catch(() => undefined);
    }
  }
}
