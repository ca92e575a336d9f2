import { execFile } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createQueztlClient } from "@queztl/api/client";
import {
  ADMIN_TOKEN,
  createFakeServices,
  startTestServer,
  type TestServer,
} from "@queztl/api/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const example = join(root, "examples/qctl-plugin");
const home = mkdtempSync(join(tmpdir(), "qctl-plugin-"));
const run = promisify(execFile);
let server: TestServer;

// What users have: built packages, and plugins kept in a folder of this test's own.
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  HOME: home,
  QUEZTL_HOME: home,
  XDG_DATA_HOME: join(home, "data"),
  XDG_CONFIG_HOME: join(home, "config"),
  XDG_CACHE_HOME: join(home, "cache"),
  QUEZTL_SERVER: server.url,
  QUEZTL_TOKEN: ADMIN_TOKEN,
  // A package in a folder would be prepared as in its checkout.
  npm_config_ignore_scripts: "true",
});

const command =
  (bin: string) =>
  async (...words: string[]) => {
    const options = { env: environment(), cwd: home };
    const program = [join(root, bin), ...words];
    const ended = await run(process.execPath, program, options).catch(
      (failure: unknown) => failure,
    );
    const { stdout, stderr, code = 0 } = ended as { stdout: string; stderr: string; code?: number };
    return { stdout, stderr, code };
  };
const qctl = command("packages/qctl/bin/qctl.js");
const own = command("examples/own-cli/bin/own.js");

beforeAll(async () => {
  // In this order: each is loaded by the next one.
  const folders = ["packages/errors", "packages/api", "packages/qctl", "examples/qctl-plugin"];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  for (const folder of folders) {
    await run(process.execPath, [tsc, "-p", join(root, folder, "tsconfig.build.json")]);
  }
  await run(process.execPath, [join(root, "packages/qctl/scripts/manifest.ts")]);
  server = await startTestServer(createFakeServices());
  const client = createQueztlClient({ url: server.url, token: ADMIN_TOKEN });
  await client.vm.create.mutate({ name: "web", cpu: 1, memoryMib: 512 });
}, 600_000);
afterAll(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
});

test(
  "a plugin: linked, told in help, run like any command, uninstalled",
  { timeout: 300_000 },
  async () => {
    const before = await qctl("vm", "idle");
    expect(before.code).toBe(2);
    expect(before.stderr).toContain("QZ_QCTL_COMMAND_UNKNOWN");

    const linked = await qctl("plugins", "link", example, "--no-install");
    expect(linked).toMatchObject({ code: 0 });
    expect((await qctl("plugins")).stdout).toContain("@queztl/qctl-plugin");
    expect((await qctl("vm", "--help")).stdout).toContain("List running VMs that do nothing");
    expect((await qctl("complete", "--", "vm", "id")).stdout).toContain("idle");

    // The server in memory tells of each VM that it is half busy.
    expect(await qctl("vm", "idle")).toMatchObject({ stdout: "", code: 0 });
    expect((await qctl("vm", "idle", "--below", "60")).stdout).toMatch(/NAME +BUSY\nweb +50%/);
    const refused = await qctl("vm", "idle", "--below", "60", "--stop", "-o", "name");
    expect(refused.code).toBe(2);
    const stopped = await qctl("vm", "idle", "--below", "60", "--stop", "--yes");
    expect(stopped.stderr).toContain("web is stopped");
    expect((await qctl("vm", "list", "--state", "stopped", "-o", "name")).stdout).toBe("web\n");

    expect((await qctl("plugins", "uninstall", "@queztl/qctl-plugin")).code).toBe(0);
    expect((await qctl("vm", "idle")).code).toBe(2);
  },
);

test(
  "a plugin in a tarball: installed by npm without a registry, run, uninstalled",
  { timeout: 300_000 },
  async () => {
    const tarball = await packed();
    const installed = await qctl("plugins", "install", `file:${tarball}`);
    expect(installed, installed.stderr).toMatchObject({ code: 0 });
    expect((await qctl("plugins")).stdout).toMatch(/@queztl\/qctl-plugin.* 0\.0\.0/);
    expect((await qctl("vm", "idle", "--help")).stdout).toContain("List running VMs");
    expect(await qctl("vm", "idle")).toMatchObject({ stdout: "", code: 0 });
    expect((await qctl("plugins", "uninstall", "@queztl/qctl-plugin")).code).toBe(0);
    expect((await qctl("vm", "idle")).code).toBe(2);
    const missing = await qctl("plugins", "install", `file:${home}/nothing.tgz`);
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).not.toMatch(/\n {4}at /);
  },
);

/** The plugin as `npm pack` leaves it; what it depends on is this workspace's, not the registry's. */
async function packed(): Promise<string> {
  const folder = join(home, "package");
  mkdirSync(folder);
  cpSync(join(example, "dist"), join(folder, "dist"), { recursive: true });
  const { devDependencies: _, ...manifest } = JSON.parse(
    readFileSync(join(example, "package.json"), "utf8"),
  ) as { dependencies: Record<string, string>; devDependencies: unknown };
  const names = Object.keys(manifest.dependencies);
  const dependencies = Object.fromEntries(
    names.map((name) => [name, `file:${realpathSync(join(example, "node_modules", name))}`]),
  );
  writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, dependencies }));
  const tarball = join(home, "plugin.tgz");
  await run("tar", ["czf", tarball, "-C", home, "package"]);
  return tarball;
}

test(
  "another command line with qctl as its plugin → the same commands",
  { timeout: 120_000 },
  async () => {
    expect((await own("vm", "list", "-o", "name")).stdout).toBe("web\n");
    const missing = await own("vm", "get", "nowhere");
    expect(missing.code).toBe(3);
    expect(missing.stderr).toMatch(/^own: /);
    expect((await own("--help")).stdout).toContain("Virtual machines");
  },
);
