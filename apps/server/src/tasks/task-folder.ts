import { createHash } from "node:crypto";
import { copyFile, link, mkdir, open, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { InputOf } from "@queztl/api";
import { collectOutputs, type Skill } from "@queztl/skills/node";
import type { taskFiles } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { Files } from "../files/files.ts";
import type { GuestFile } from "../vms/vm-host.ts";
import type { PlannedFile } from "./task-plan.ts";

type FileRow = typeof taskFiles.$inferInsert;
type SubmittedFile = NonNullable<InputOf<"task.submit">["files"]>[number];

const MIB = 1_048_576;
const MOST_FILES = 10_000;
/** As the contract's relative paths: what else a guest may call a file is not kept. */
const LONGEST_NAME = 512;

/** A task's own folder on this computer: its log, what came with it, what it left. */
export class TaskFolder {
  readonly path: string;
  readonly task: string;

  constructor(home: string, task: string) {
    this.task = task;
    this.path = join(home, "tasks", task);
  }

  get log(): string {
    return join(this.path, "log.jsonl");
  }

  pathOf({ kind, stored }: Pick<FileRow, "kind" | "stored">): string {
    return join(this.path, `${kind}s`, stored);
  }

  /** Keeps what a task came with, under names of our own. */
  async keepInputs(submitted: readonly SubmittedFile[], files: Files): Promise<FileRow[]> {
    if (submitted.length === 0) return [];
    await mkdir(join(this.path, "inputs"), { recursive: true });
    const rows: FileRow[] = [];
    for (const { name, data, file } of submitted) {
      const stored = String(rows.length);
      const path = this.pathOf({ kind: "input", stored });
      const common = { task: this.task, kind: "input", name, stored, mode: 0o644 } as const;
      if (file === undefined) {
        const bytes = Buffer.from(data ?? "", "base64");
        await writeFile(path, bytes);
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        rows.push({ ...common, bytes: bytes.byteLength, sha256 });
      } else {
        const whole = await files.whole(file);
        await copyFile(whole.path, path);
        rows.push({ ...common, bytes: whole.bytes, sha256: whole.sha256 });
      }
    }
    return rows;
  }

  /** The inputs as plans have them. */
  planned(rows: readonly FileRow[]): PlannedFile[] {
    return rows.map((row) => ({ name: row.name, bytes: row.bytes, path: this.pathOf(row) }));
  }

  /**
   * Keeps what a task left: every regular file but its unchanged inputs. A name that the contract does not know as a
   * path is passed over and told. Throws `QZ_SERVER_RESULT_TOO_LARGE`.
   */
  async keepResults(
    left: AsyncIterable<GuestFile>,
    options: {
      inputs: readonly FileRow[];
      mostMib: number;
      passedOver: (name: string) => void;
    },
  ): Promise<FileRow[]> {
    const inputs = new Map(options.inputs.map((row) => [row.name, row.sha256]));
    const folder = join(this.path, "results");
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const rows = new Map<string, FileRow>();
    let [total, stored] = [0, 0];
    for await (const { path: name, mode, content } of left) {
      if (!isKeptName(name)) {
        options.passedOver(name);
        continue;
      }
      const row = { task: this.task, kind: "result", name, stored: String(stored), mode } as const;
      stored += 1;
      if (stored > MOST_FILES) {
        throw serverErrors("QZ_SERVER_RESULT_TOO_LARGE", { limit: `${MOST_FILES} files` });
      }
      const { bytes, sha256 } = await this.#save(this.pathOf(row), content, (written) => {
        if (total + written > options.mostMib * MIB) {
          throw serverErrors("QZ_SERVER_RESULT_TOO_LARGE", { limit: `${options.mostMib} MiB` });
        }
      });
      total += bytes;
      if (inputs.get(name) !== sha256) rows.set(name, { ...row, bytes, sha256 });
    }
    return [...rows.values()];
  }

  /**
   * Has a skill's own rules look at the results: that all it promises is there, and is what the guest wrote. Throws
   * `QZ_SKILLS_OUTPUT_INVALID`.
   */
  async verify(rows: readonly FileRow[], { manifest }: Skill): Promise<void> {
    const folder = join(this.path, "verify");
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    try {
      for (const row of rows) {
        const path = join(folder, row.name);
        await mkdir(dirname(path), { recursive: true });
        await link(this.pathOf(row), path);
      }
      await collectOutputs(manifest, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }

  async #save(
    path: string,
    content: AsyncIterable<Uint8Array>,
    check: (written: number) => void,
  ): Promise<{ bytes: number; sha256: string }> {
    const hash = createHash("sha256");
    const file = await open(path, "w", 0o600);
    let bytes = 0;
    try {
      for await (const piece of content) {
        bytes += piece.byteLength;
        check(bytes);
        hash.update(piece);
        await file.write(piece);
      }
    } finally {
      await file.close();
    }
    return { bytes, sha256: hash.digest("hex") };
  }
}

function isKeptName(name: string): boolean {
  return (
    name.length > 0 &&
    name.length <= LONGEST_NAME &&
    !name.startsWith("/") &&
    !/[\p{Cc}\p{Cs}\\]/u.test(name) &&
    name.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}
