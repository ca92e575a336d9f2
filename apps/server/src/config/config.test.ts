import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseFlags } from "./flags.ts";
import { HELP } from "./help.ts";
import { loadConfig } from "./load-config.ts";
import { environmentName, settingRows } from "./settings-table.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "queztl-config-"));
});
afterEach(() => rmSync(home, { recursive: true }));

test("a flag, a variable and a file → the flag wins, then the variable, then the file", () => {
  writeFileSync(
    join(home, "server.json"),
    JSON.stringify({ port: 1, host: "::1", log: { level: "warn" } }),
  );
  const config = loadConfig({
    flags: { home, port: 3 },
    environment: { QUEZTL_PORT: "2", QUEZTL_HOST: "127.0.0.2" },
  });
  const got = [
    config.get("port"),
    config.get("host"),
    config.get("log.level"),
    config.get("node.cpu"),
  ];
  expect(got).toEqual([3, "127.0.0.2", "warn", undefined]);
  expect(config.sourceOf("log.level")).toBe("file");
  expect(config.sourceOf("vms.standby")).toBe("default");
});

test.each([
  ["an unknown key", '{"prot":7070}', "unknown setting prot"],
  ["an unknown key inside", '{"log":{"colour":1}}', "log.colour"],
  ["a wrong value", '{"port":"http"}', "port"],
  ["a list", "[]", "no object"],
  ["no JSON", "port=1", "no JSON"],
])("a file with %s → QZ_SERVER_CONFIG_INVALID that says where", (_, text, words) => {
  writeFileSync(join(home, "server.json"), text);
  expect(() => loadConfig({ flags: { home }, environment: {} })).toThrow(
    expect.objectContaining({
      code: "QZ_SERVER_CONFIG_INVALID",
      message: expect.stringContaining(words),
    }),
  );
});

test("a wrong database address → refused without showing it", () => {
  const environment = { QUEZTL_HOME: home, DATABASE_URL: "mysql://root:hunter2@host/db" };
  let message = "";
  try {
    loadConfig({ environment });
  } catch (cause) {
    message = String(cause);
  }
  expect(message).toContain("database.url");
  expect(message).not.toContain("hunter2");
});

test("flags → settings by their names, with their types; anything else is refused", () => {
  const { settings, configFile, token } = parseFlags([
    "--port=0",
    "--token",
    "mine",
    "--log.level",
    "warn",
    "--config",
    "a.json",
    "--metrics.open",
    "true",
  ]);
  expect(settings).toEqual({ port: 0, "log.level": "warn", "metrics.open": true });
  expect([configFile, token]).toEqual(["a.json", "mine"]);
  for (const words of [["--prot", "1"], ["--port"], ["port"], ["--__proto__", "1"]]) {
    expect(() => parseFlags(words)).toThrow(expect.objectContaining({ code: "QZ_SERVER_USAGE" }));
  }
});

test("every setting → in the help with its variable; no two have the same one", () => {
  const names = [...settingRows].map(([key, row]) => environmentName(key, row));
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(HELP).toContain(name);
});
