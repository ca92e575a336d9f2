import type { Command } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { isQueztlError } from "@queztl/errors";
import { qctlErrors } from "../errors.ts";
import type { Image } from "../resources.ts";
import { waitFor } from "../session/wait.ts";
import { imageView } from "../view/cluster.ts";
import { printableLine } from "../view/printable.ts";
import { percent } from "../view/units.ts";
import { TransferCommand } from "./transfer-command.ts";

/** A command that makes an image, which takes minutes, and waits for it. */
export abstract class ImageCommand<Class extends typeof Command> extends TransferCommand<Class> {
  /** Waits until an image is made, unless nobody wants to; shows it. Throws where it failed. */
  protected async showMade(client: QueztlClient, begun: Image, wait: boolean): Promise<Image> {
    if (!wait) return this.show(imageView, begun);
    let last = begun;
    const region = this.isLive ? await this.openRegion() : undefined;
    region?.draw((spinner) => `${spinner} making ${begun.name} ${percent(last.progress)}`);
    const image = await waitFor({
      read: (signal) => client.image.get.query({ image: begun.id }, { signal }),
      done: ({ state }) => state !== "building",
      onChange: (now) => (last = now),
      onLost: (failure) => {
        if (failure !== undefined && region === undefined) this.say(failure.message);
      },
      signal: this.signal,
      timeoutSeconds: this.timeoutSeconds,
      what: `the image ${begun.name}`,
    }).catch((failure: unknown) => {
      if (!isQueztlError(failure, "QZ_QCTL_INTERRUPTED")) throw failure;
      const after = `; ${begun.name} goes on being made: \`qctl image get ${begun.name} --watch\` shows it`;
      throw qctlErrors("QZ_QCTL_INTERRUPTED", { after });
    });
    this.closeRegion();
    if (image.state !== "ready") {
      const problem = image.problem === null ? "" : `: ${printableLine(image.problem.message)}`;
      throw qctlErrors("QZ_QCTL_IMAGE_FAILED", { image: image.name, state: image.state, problem });
    }
    return this.show(imageView, image);
  }
}
