import { serverErrors } from "../errors.ts";
import { fromText, type GivenSettings } from "./load-config.ts";
import { settingRows } from "./settings-table.ts";

/** What a command line says. */
export interface Flags {
  readonly help: boolean;
  readonly version: boolean;
  readonly configFile: string | undefined;
  /** The name of an administrator's token that the start makes. */
  readonly token: string | undefined;
  readonly settings: GivenSettings;
}

/** Reads `--port 7070`, `--port=7070` and the like: every setting is a flag. Throws `QZ_SERVER_USAGE`. */
export function parseFlags(words: readonly string[]): Flags {
  let [help, version] = [false, false];
  const own: { config?: string; token?: string } = {};
  const settings: Record<string, unknown> = {};
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--help" || word === "-h") help = true;
    else if (word === "--version") version = true;
    else {
      const [, name, inline] = /^--([A-Za-z.]+)(?:=(.*))?$/s.exec(word) ?? [];
      const row = settingRows.get(name ?? "");
      if (name === undefined || (row === undefined && name !== "config" && name !== "token")) {
        throw serverErrors("QZ_SERVER_USAGE", { problem: `${word} is not known` });
      }
      const value = inline ?? rest.shift();
      if (value === undefined) {
        throw serverErrors("QZ_SERVER_USAGE", { problem: `--${name} needs a value` });
      }
      if (name === "config" || name === "token") own[name] = value;
      else if (row !== undefined) settings[name] = fromText(row.schema, value);
    }
  }
  return { help, version, configFile: own.config, token: own.token, settings };
}
