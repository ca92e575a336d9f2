import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { isQueztlError } from "@queztl/errors";
import { afterAll, expect, test } from "vitest";
import { HELP, parseCommandLine } from "./command-line.ts";

const parse = (line: string) => parseCommandLine(line.split(" ").filter(Boolean));

test("command lines → what they ask for", () => {
  expect(parse("")).toEqual({ command: "help" });
  expect(parse("build --help")).toEqual({ command: "help" });
  expect(parse("build base python --versions newest --home /q")).toEqual({
    command: "build",
    names: ["base", "python"],
    versions: "newest",
    home: "/q",
  });
  expect(parse("list --json")).toEqual({ command: "list", json: true });
  expect(parse("remove app")).toEqual({ command: "remove", names: ["app"] });
  expect(parse("import app --tar - --size 2G --replace")).toEqual({
    command: "import",
    options: { name: "app", from: { tar: "-" }, size: 2 * 2 ** 30, replace: true },
  });
  expect(
    parseCommandLine(
      "import app --oci dir --image latest --flavour generic --free 300M --warm-up app_--version --warm-up true"
        .split(" ")
        .map((word) => word.replace("_", " ")),
    ),
  ).toEqual({
    command: "import",
    options: {
      name: "app",
      from: { oci: "dir", image: "latest" },
      flavour: "generic",
      freeBytes: 300 * 2 ** 20,
      warmUp: [["app", "--version"], ["true"]],
    },
  });
});

test.each([
  "fetch",
  "build",
  "build base --versions old",
  "build base --fast",
  "list base",
  "remove",
  "import",
  "import a b --tar x",
  "import app",
  "import app --tar x --oci y",
  "import app --tar x --image y",
  "import app --tar x --flavour tiny",
  "import app --tar x --size 0",
  "import app --tar x --size 1T",
  "import app --tar x --size 9007199254740993",
  "import app --tar x --warm-up",
])("queztl-images %s → a usage error", (line) => {
  expect(() => parse(line)).toThrow(
    expect.toSatisfy((error) => isQueztlError(error, "QZ_IMAGES_USAGE")),
  );
});

const home = mkdtempSync(join(tmpdir(), "queztl-images-cli-"));
afterAll(() => rmSync(home, { recursive: true }));

test("the program → help, an empty list, and exit statuses", async () => {
  const program = join(import.meta.dirname, "main.ts");
  const run = async (...args: string[]) => {
    const argv = ["--conditions=@queztl/source", program, ...args];
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, argv);
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  };
  expect(await run()).toEqual({ code: 0, stdout: HELP, stderr: "" });
  expect(await run("list", "--json", "--home", home)).toMatchObject({ code: 0, stdout: "[]\n" });
  const usage = await run("melt");
  expect([usage.code, usage.stderr]).toEqual([
    2,
    "queztl-images: there is no command melt; see queztl-images --help (QZ_IMAGES_USAGE)\n",
  ]);
  const missing = await run("remove", "nothing", "--home", home);
  expect([missing.code, missing.stderr]).toEqual([
    1,
    expect.stringContaining("QZ_IMAGES_NO_IMAGE"),
  ]);
}, 60_000);
