import { isAbsolute, join, relative, resolve } from "node:path";
import type { Command } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { collect } from "../command-line/pages.ts";
import { qctlErrors } from "../errors.ts";
import { TransferCommand } from "../files/transfer-command.ts";
import { downloadFile } from "../files/transfer.ts";
import type { ResultFile, Task } from "../resources.ts";
import { printable, printableLine } from "../view/printable.ts";
import { taskResultView } from "../view/task.ts";
import { byteSize } from "../view/units.ts";
import { newsOf, progressLines, taskFailed, waitTask } from "./wait-task.ts";

/** A command that waits for a task and fetches what it left. */
export abstract class TaskCommand<Class extends typeof Command> extends TransferCommand<Class> {
  /** Waits for a task under a live list of its steps. Gives it, also where it failed. */
  protected async await(client: QueztlClient, task: string): Promise<Task> {
    let last: Task | undefined;
    const region = this.isLive ? await this.openRegion() : undefined;
    let lost = "";
    region?.draw((spinner, page) =>
      [progressLines(last, spinner, page), lost].filter(Boolean).join("\n"),
    );
    try {
      return await waitTask({
        client,
        task,
        signal: this.signal,
        timeoutSeconds: this.timeoutSeconds,
        onLook: (now) => {
          if (region === undefined) for (const line of newsOf(last, now)) this.say(line);
          last = now;
        },
        onLost: (failure) => {
          const words =
            failure === undefined ? "" : `  connection lost, trying again (${failure.message})`;
          if (region === undefined && words !== lost) this.say(words.trim() || "connected again");
          lost = words;
        },
      });
    } finally {
      const { talkPage } = this;
      const summary = last === undefined ? undefined : progressLines(last, " ", talkPage);
      this.closeRegion(summary);
    }
  }

  /** Shows how a task that is over has ended; throws where it did not succeed. */
  protected async showEnd(
    client: QueztlClient,
    task: Task,
    out: string | undefined,
  ): Promise<Task> {
    if (out !== undefined) await this.fetchFiles(client, task.id, out);
    if (task.state !== "succeeded") {
      if (this.format === "json" || this.format === "yaml") await this.show(taskResultView, task);
      throw taskFailed(task);
    }
    if (this.format === "text" && task.result === undefined) await this.showOutput(client, task.id);
    else await this.show(taskResultView, task);
    for (const lesson of task.learned) this.say(`learned: ${printableLine(lesson)}`);
    return task;
  }

  /** The result of a program that gives none is what it wrote. */
  private async showOutput(client: QueztlClient, task: string): Promise<void> {
    const { items } = await collect(Number.POSITIVE_INFINITY, (page) =>
      client.task.logs.query({ task, streams: ["stdout"], ...page }),
    );
    this.write(printable(items.map(({ text }) => text).join("")));
  }

  /** Fetches the files that a task has left into a directory. */
  protected async fetchFiles(
    client: QueztlClient,
    task: string,
    out: string,
  ): Promise<readonly ResultFile[]> {
    const { signal } = this;
    const { items } = await collect(Number.POSITIVE_INFINITY, (page) =>
      client.task.files.query({ task, ...page }),
    );
    for (const { name, sha256 } of items) {
      const path = placeWithin(out, name);
      const bytes = await this.transferring(`fetching ${printableLine(name)}`, (onProgress) =>
        downloadFile({
          read: (offset) => client.task.readFile.query({ task, name, offset }, { signal }),
          path,
          sha256,
          signal,
          onProgress,
        }),
      );
      this.say(`${path} (${byteSize(bytes)})`);
    }
    if (items.length === 0) this.say(`${task} has left no files`);
    return items;
  }
}

/** A result's path inside a directory, whatever a server calls it. */
export function placeWithin(directory: string, name: string): string {
  const path = join(directory, name);
  const way = relative(resolve(directory), resolve(path));
  if (way === "" || way.startsWith("..") || isAbsolute(way) || name.includes("\0")) {
    const problem = "its name leads out of the directory";
    throw qctlErrors("QZ_QCTL_FILE_UNWRITABLE", { path: name, problem });
  }
  return path;
}
