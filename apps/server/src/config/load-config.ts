import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { queztlHome } from "@queztl/images/node";
import type { z } from "zod";
import { serverErrors } from "../errors.ts";
import {
  environmentName,
  type SettingKey,
  type SettingRow,
  settingRows,
  type SettingSource,
  type SettingValue,
} from "./settings-table.ts";

/** Values by setting, as they were given. */
export type GivenSettings = { readonly [Key in SettingKey]?: SettingValue<Key> };

/** The configuration as it came from outside: flags, then the environment, then the file. */
export interface Config {
  /** The folder of everything kept on this computer. */
  readonly home: string;
  readonly cache: string;
  get<Key extends SettingKey>(key: Key): SettingValue<Key>;
  sourceOf(key: SettingKey): SettingSource;
}

/** Where configuration is looked for. */
export interface ConfigSources {
  readonly flags?: GivenSettings;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** A JSON file; `HOME/server.json` where there is one, unless given. */
  readonly file?: string;
}

/**
 * Reads and checks all of the configuration. A file's unknown keys are refused, as is a variable that
 * begins with `QUEZTL_SERVER_`. Throws `QZ_SERVER_CONFIG_INVALID`.
 */
export function loadConfig(sources: ConfigSources = {}): Config {
  const { flags = {}, environment = process.env } = sources;
  const given = new Map<string, { value: string | number | boolean; source: SettingSource }>();
  const take = (key: string, value: unknown, source: SettingSource) => {
    const row = settingRows.get(key);
    if (row === undefined) throw wrong(`the ${source} has the unknown setting ${key}`);
    given.set(key, { value: checked(key, row, value, source), source });
  };
  const home = resolve(
    flags.home ??
      queztlHome(
        environment["QUEZTL_HOME"] === undefined ? {} : { QUEZTL_HOME: environment["QUEZTL_HOME"] },
      ),
  );
  for (const [key, value] of Object.entries(fileSettings(sources.file, home))) {
    take(key, value, "file");
  }
  for (const [key, row] of settingRows) {
    const text = environment[environmentName(key, row)];
    if (text !== undefined && text !== "") take(key, fromText(row.schema, text), "environment");
  }
  for (const [key, value] of Object.entries(flags)) {
    if (value !== undefined) take(key, value, "flag");
  }
  return {
    home,
    cache: resolve(String(given.get("cache")?.value ?? join(home, "cache"))),
    get: <Key extends SettingKey>(key: Key) =>
      (given.get(key)?.value ?? settingRows.get(key)?.default) as SettingValue<Key>,
    sourceOf: (key) => given.get(key)?.source ?? "default",
  };
}

/** A value as its schema has it, from the text of a flag or a variable. */
export function fromText(schema: z.ZodType, text: string): unknown {
  if (schema.safeParse(text).success) return text;
  if (text === "true" || text === "false") return text === "true";
  const number = Number(text);
  return text.trim() === "" || Number.isNaN(number) ? text : number;
}

/** Checks a value. Throws `QZ_SERVER_CONFIG_INVALID`. */
function checked(
  key: string,
  { schema, secret }: SettingRow,
  value: unknown,
  source: SettingSource,
): string | number | boolean {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problem = parsed.error.issues[0]?.message ?? "it is wrong";
  const shown = secret ? "" : ` (${JSON.stringify(value)})`;
  throw wrong(`${key}${shown} from the ${source}: ${problem}`);
}

function fileSettings(given: string | undefined, home: string): Record<string, unknown> {
  const path = given ?? join(home, "server.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    if (missing && given === undefined) return {};
    throw wrong(`${path} cannot be read`, cause);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw wrong(`${path} is no JSON`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(`${path} holds no object`);
  }
  return flattened(value as Record<string, unknown>);
}

/** `{ a: { b: 1 } }` and `{ "a.b": 1 }` alike as `a.b`. */
function flattened(value: Record<string, unknown>, prefix = ""): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) =>
      typeof each === "object" && each !== null && !Array.isArray(each) && prefix.length < 64
        ? Object.entries(flattened(each as Record<string, unknown>, `${prefix}${key}.`))
        : [[`${prefix}${key}`, each]],
    ),
  );
}

const wrong = (problem: string, cause?: unknown) =>
  serverErrors("QZ_SERVER_CONFIG_INVALID", { problem }, { cause });
