import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { queztlHome, withBuildLock } from "@queztl/images/node";
import { hypervisorError } from "../../errors.ts";
import {
  checkTemplate,
  markUsed,
  readTemplateRecord,
  useOf,
  writeTemplateRecord,
} from "./template-record.ts";
import type { TemplateRecord } from "./template-record.ts";

/** What is being done for a template, for a progress display. */
export interface TemplateProgress {
  readonly step:
    /** another process builds it */
    | "wait"
    | "boot"
    | "warm-up"
    | "save"
    /** its files are read and compared with their checksums */
    | "verify";
  /** The command of a warm-up. */
  readonly command?: readonly string[];
}

/** What a template is to be made of, and how. */
export interface TemplateRecipe {
  /** The image's name, or another one for people: lower-case letters, digits, dots, hyphens and underscores. */
  readonly name: string;
  /** All that decides what is in it: with other inputs it is another template. */
  readonly inputs: TemplateRecord["inputs"];
  /** Leaves a snapshot, and what else belongs to it, in an empty folder. @returns the names of its files. */
  build(folder: string, options: BuildTemplateOptions): Promise<readonly string[]>;
}

export interface BuildTemplateOptions {
  readonly signal?: AbortSignal;
  readonly onProgress: (progress: TemplateProgress) => void;
}

/** A template that is ready for use. */
export interface Template {
  /** Its folder's name. */
  readonly id: string;
  /** A folder of `saveMachine`, whose files never change. */
  readonly folder: string;
  readonly record: TemplateRecord;
}

/** A template on this computer. */
export interface TemplateSummary extends Template {
  /** Bytes on the host's disk. */
  readonly bytes: number;
  /** Machines' folders that hold its files; they go on holding them when it is removed. */
  readonly links: number;
  readonly usedAt: Date;
}

/** What to remove. */
export interface PruneOptions {
  /** Templates that were not used for so long. */
  readonly unusedMs?: number;
  /** The least recently used ones, until the rest take at most so many bytes. */
  readonly maxBytes?: number;
}

/** What builders that were killed left behind is removed when it is so old. */
const ABANDONED_MS = 3_600_000;

/**
 * The templates of this computer, in `templates/` of QUEZTL_HOME (docs/templates.md): the first machine of a kind is
 * booted and its snapshot kept, all others are copy-on-write mappings of that. Any number of processes may use it.
 */
export class TemplateStore {
  readonly #folder: string;

  constructor(home: string = queztlHome()) {
    this.#folder = join(home, "templates");
  }

  /**
   * The template of a recipe, built if it is not there; of several processes that ask at once one builds. It is there
   * wholly or not at all.
   * @throws QZ_HYPERVISOR_TEMPLATE where it cannot be kept; what building throws, and the signal's reason.
   */
  async ensure(
    recipe: TemplateRecipe,
    options: Partial<BuildTemplateOptions> = {},
  ): Promise<Template> {
    const { signal, onProgress = () => undefined } = options;
    const there = await this.find(recipe, { onProgress });
    if (there) return there;
    const id = idOf(recipe);
    const lock = join(this.#folder, ".locks", id);
    const onWait = (): void => onProgress({ step: "wait" });
    return this.#attempt(recipe.name, () =>
      withBuildLock(lock, { signal, onWait }, async () => {
        const built = await this.find(recipe, { onProgress });
        return built ?? (await this.#build(id, recipe, { onProgress, ...(signal && { signal }) }));
      }),
    );
  }

  /** The template of a recipe if it is there and was not altered. */
  async find(
    recipe: Pick<TemplateRecipe, "name" | "inputs">,
    options: Pick<Partial<BuildTemplateOptions>, "onProgress"> = {},
  ): Promise<Template | undefined> {
    const id = idOf(recipe);
    const folder = join(this.#folder, id);
    const record = await readTemplateRecord(folder);
    const onRead = (): void => options.onProgress?.({ step: "verify" });
    if (record === undefined || !(await checkTemplate(folder, record, { onRead })))
      return undefined;
    await markUsed(folder);
    return { id, folder, record };
  }

  /** All templates, the most recently used first. Nothing is verified. */
  async list(): Promise<TemplateSummary[]> {
    const found: TemplateSummary[] = [];
    for (const id of await this.#entries((name) => !name.startsWith("."))) {
      const folder = join(this.#folder, id);
      const record = await readTemplateRecord(folder);
      // It may go while it is looked at.
      const use = record && (await useOf(folder, record).catch(() => undefined));
      if (record === undefined || use === undefined) continue;
      const { usedAtMs, links, bytes } = use;
      found.push({ id, folder, record, bytes, links, usedAt: new Date(usedAtMs) });
    }
    return found.sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
  }

  /**
   * Removes a template. Machines that were made of it hold what they need and go on.
   * @returns false where there is none.
   */
  async remove(id: string): Promise<boolean> {
    if (basename(id) !== id || id.startsWith(".")) return false;
    const aside = join(this.#folder, `.${randomUUID()}.removed`);
    try {
      await rename(join(this.#folder, id), aside);
    } catch {
      return false;
    }
    await rm(aside, { recursive: true, force: true });
    return true;
  }

  /** Removes templates by age and size, and what killed builders left. @returns the removed templates. */
  async prune(options: PruneOptions = {}): Promise<TemplateSummary[]> {
    const { unusedMs = Infinity, maxBytes = Infinity } = options;
    const removed: TemplateSummary[] = [];
    let kept = 0;
    for (const template of await this.list()) {
      const old = Date.now() - template.usedAt.getTime() > unusedMs;
      if (!old && kept + template.bytes <= maxBytes) kept += template.bytes;
      else if (await this.remove(template.id)) removed.push(template);
    }
    for (const name of await this.#entries((each) => /\.(partial|removed)$/.test(each))) {
      const path = join(this.#folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > ABANDONED_MS) await rm(path, { recursive: true, force: true });
    }
    return removed;
  }

  async #build(
    id: string,
    recipe: TemplateRecipe,
    options: BuildTemplateOptions,
  ): Promise<Template> {
    const started = performance.now();
    const partial = join(this.#folder, `.${randomUUID()}.partial`);
    const folder = join(this.#folder, id);
    await mkdir(partial, { recursive: true });
    try {
      const names = await recipe.build(partial, options);
      options.onProgress({ step: "verify" });
      const { name, inputs } = recipe;
      const buildSeconds = Math.round(performance.now() - started) / 1000;
      const about = { name, inputs, builtAt: new Date().toISOString(), buildSeconds };
      const record = await writeTemplateRecord(partial, names, about);
      // One that was altered.
      await this.remove(id);
      await rename(partial, folder);
      return { id, folder, record };
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
  }

  async #entries(wanted: (name: string) => boolean): Promise<string[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.filter(wanted);
  }

  async #attempt<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
      // What the host refuses; all else has a code of ours, or is the signal's reason.
      if (isQueztlError(cause) || typeof code !== "string" || !/^E[A-Z]/.test(code)) throw cause;
      const reason = (cause as Error).message;
      throw hypervisorError("QZ_HYPERVISOR_TEMPLATE", { name, reason }, { cause });
    }
  }
}

/** The folder of a recipe's template: its name, for people, and what its inputs come to. */
function idOf({ name, inputs }: Pick<TemplateRecipe, "name" | "inputs">): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
    throw hypervisorError("QZ_HYPERVISOR_OPTIONS", {
      option: "the template's name",
      value: JSON.stringify(name),
      expected: "use up to 63 lower-case letters, digits, dots, hyphens and underscores",
    });
  }
  const sorted = Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1));
  const digest = createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
  return `${name}-${digest.slice(0, 16)}`;
}
