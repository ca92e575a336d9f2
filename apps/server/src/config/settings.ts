import type { Setting, ServiceOf } from "@queztl/api";
import { eq } from "drizzle-orm";
import type { Records } from "../database/database.ts";
import { settings } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Config } from "./load-config.ts";
import {
  type SettingKey,
  type SettingRow,
  settingRows,
  SETTINGS,
  type SettingValue,
} from "./settings-table.ts";

/** The settings as they are now: from outside where they were given there, else as stored, else the default. */
export class Settings {
  readonly #config: Config;
  readonly #records: Records;
  readonly #events: EventLog;
  readonly #stored = new Map<string, string | number | boolean>();
  readonly #watchers = new Set<(key: string) => void>();

  private constructor(config: Config, records: Records, events: EventLog) {
    this.#config = config;
    this.#records = records;
    this.#events = events;
  }

  /** Reads what was stored; a stored value that is no longer possible is passed over. */
  static async load(config: Config, records: Records, events: EventLog): Promise<Settings> {
    const loaded = new Settings(config, records, events);
    for (const { key, value } of await records.select().from(settings)) {
      if (settingRows.get(key)?.schema.safeParse(value).success === true)
        loaded.#stored.set(key, value);
    }
    return loaded;
  }

  get<Key extends SettingKey>(key: Key): SettingValue<Key> {
    if (this.#config.sourceOf(key) !== "default") return this.#config.get(key);
    return (this.#stored.get(key) ?? SETTINGS[key].default) as SettingValue<Key>;
  }

  /** Hears of each change. */
  watch(changed: (key: string) => void): void {
    this.#watchers.add(changed);
  }

  readonly service: ServiceOf<"config"> = {
    get: async ({ prefix = "" }) => ({
      items: [...settingRows.keys()]
        .filter((key) => key.startsWith(prefix))
        .sort()
        .map((key) => this.#shown(key)),
    }),
    set: async ({ key, value }, { principal, requestId }) => {
      const row = this.#changeable(key);
      const parsed = row.schema.safeParse(value);
      if (!parsed.success) {
        const said = parsed.error.issues[0]?.message ?? "another value is needed";
        const problem = said.replace(/^Invalid input: /, "");
        const shown = JSON.stringify(value).slice(0, 100);
        throw serverErrors("QZ_SERVER_SETTING_INVALID", { key, value: shown, problem });
      }
      const values = { key, value: parsed.data, updatedAt: new Date() };
      await this.#records
        .insert(settings)
        .values(values)
        .onConflictDoUpdate({ target: settings.key, set: values });
      this.#stored.set(key, parsed.data);
      return this.#changed(key, { actor: principal.tokenId, requestId });
    },
    reset: async ({ key }, { principal, requestId }) => {
      this.#changeable(key);
      await this.#records.delete(settings).where(eq(settings.key, key));
      this.#stored.delete(key);
      return this.#changed(key, { actor: principal.tokenId, requestId });
    },
  };

  #changeable(key: string): SettingRow {
    const row = settingRows.get(key);
    if (row === undefined)
      throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "setting", wanted: key });
    const source = this.#config.sourceOf(key as SettingKey);
    if (source !== "default") throw serverErrors("QZ_SERVER_SETTING_FIXED", { key, source });
    if (row.outside) {
      const fixed = "configuration that the server starts with";
      throw serverErrors("QZ_SERVER_SETTING_FIXED", { key, source: fixed });
    }
    return row;
  }

  async #changed(key: string, by: { actor: string; requestId: string }): Promise<Setting> {
    for (const changed of this.#watchers) changed(key);
    const setting = this.#shown(key);
    await this.#events.record({
      type: "config.changed",
      message: `${key} is ${String(setting.value)}`,
      details: { key, value: setting.value ?? "" },
      ...by,
    });
    return setting;
  }

  #shown(key: string): Setting {
    const row = settingRows.get(key);
    if (row === undefined)
      throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "setting", wanted: key });
    const outside = this.#config.sourceOf(key as SettingKey);
    const stored = outside === "default" && this.#stored.has(key);
    const value = this.get(key as SettingKey);
    return {
      key,
      value: row.secret ? null : (value ?? null),
      default: row.default ?? null,
      source: stored ? "stored" : outside,
      description: row.description,
      restart: row.restart ?? false,
    };
  }
}
