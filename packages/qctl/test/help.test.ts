import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { commandReference, REFERENCE } from "../scripts/reference.ts";
import { EXIT_CODES } from "../src/exit-codes.ts";
import { commandsOf, qctl, root } from "./support/cli.ts";

const own = async () => {
  const { commands, pjson } = await commandsOf();
  const aliases = new Set(commands.flatMap((command) => command.aliases));
  return commands.filter(({ id, pluginName }) => pluginName === pjson.name && !aliases.has(id));
};

test("the help of everything → as it was", { timeout: 60_000 }, async () => {
  vi.stubEnv("OCLIF_COLUMNS", "80");
  const ids = (await own()).filter(({ hidden }) => !hidden).map(({ id }) => id.split(":"));
  const topics = ["vm", "task", "brain", "node", "image", "config", "setting", "token"];
  const texts: string[] = [];
  // oclif's help of a topic leaves the ids of its commands with spaces: topics come last.
  for (const words of [...ids, ...topics.map((topic) => [topic]), []]) {
    const { stdout, stderr, code } = await qctl(...words, "--help");
    expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: "" });
    const version = /qctl\/\S+ \S+ node-\S+/;
    texts.push(`$ ${["qctl", ...words].join(" ")} --help\n${stdout.replace(version, "VERSION")}`);
  }
  vi.unstubAllEnvs();
  await expect(texts.join("\n")).toMatchFileSnapshot("help.txt");
});

test("every command → a summary and an example, every flag and argument a word on it", async () => {
  for (const { id, hidden, summary, examples, flags, args } of await own()) {
    if (hidden) continue;
    expect(summary, id).toMatch(/^[A-Z].*[^.]$/);
    expect(examples?.length, id).toBeGreaterThan(0);
    for (const [name, flag] of Object.entries(flags))
      expect(flag.summary, `${id} --${name}`).toBeTruthy();
    for (const arg of Object.values(args))
      expect(arg.description, `${id} ${arg.name}`).toBeTruthy();
  }
});

test("docs/qctl.md → what the commands themselves say", { timeout: 60_000 }, async () => {
  const written = readFileSync(REFERENCE, "utf8");
  expect(
    await commandReference(await commandsOf()),
    "run `node --conditions=@queztl/source packages/qctl/scripts/reference.ts`",
  ).toBe(written);
});

test("the README's exit codes → exactly those there are", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const rows = [...readme.matchAll(/^\| (\d+) +\| (.*?) *\|$/gm)].map(([, code, meaning]) => ({
    code: Number(code),
    meaning,
  }));
  expect(rows).toEqual(Object.values(EXIT_CODES).sort((a, b) => a.code - b.code));
});
