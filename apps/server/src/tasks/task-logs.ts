import type { Settings } from "../config/settings.ts";
import { LogFile } from "./log-file.ts";
import { TaskFolder } from "./task-folder.ts";

const MOST_CLOSED = 1000;

/** The logs of tasks: open while a task may still write, and a while after. */
export class TaskLogs {
  readonly #home: string;
  readonly #settings: Settings;
  readonly #logs = new Map<string, LogFile>();

  constructor(home: string, settings: Settings) {
    this.#home = home;
    this.#settings = settings;
  }

  of(task: string): LogFile {
    let log = this.#logs.get(task);
    if (log === undefined) {
      const { log: path } = new TaskFolder(this.#home, task);
      log = new LogFile(path, { mostMib: this.#settings.get("tasks.logMib") });
      this.#logs.set(task, log);
      this.#trim();
    }
    return log;
  }

  /** Sends off who follows: the task is over. */
  async close(task: string): Promise<void> {
    await this.of(task).end();
  }

  /** The task begins again. */
  reopen(task: string): void {
    this.#logs.get(task)?.reopen();
  }

  /** Lets go of logs that ended; whoever reads one later opens it anew. */
  #trim(): void {
    if (this.#logs.size <= MOST_CLOSED) return;
    for (const [task, log] of this.#logs) {
      if (!log.isOpen && !log.isFollowed) this.#logs.delete(task);
      if (this.#logs.size <= MOST_CLOSED / 2) return;
    }
  }
}
