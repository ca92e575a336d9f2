import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"; // prettier-ignore
import { createServer } from "node:net";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { VmFolder } from "../vm/vm-folder.ts";
import { LOG, READY, SOCKET, WARMING, standbyName, standbysFolder, takeStandby } from "./standby-folder.ts"; // prettier-ignore

const TEMPLATE = "base-0123456789abcdef";

let home: string;
let vm: VmFolder;
const servers: Server[] = [];
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "queztl-standby-"));
  vm = new VmFolder(home, "vm-1");
  mkdirSync(vm.path, { recursive: true });
});
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((done) => server.close(done));
  rmSync(home, { recursive: true });
});

/** A folder as a process that stands by has it, and what that answers; nothing when it has died. */
async function standby(folder: string, answer?: (asked: string) => string): Promise<void> {
  const place = join(standbysFolder(home), folder);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, LOG), "said before\n");
  const server = createServer((socket) => {
    socket.once("data", (line) => socket.end(answer?.(String(line)) ?? ""));
  });
  await new Promise<void>((done) => server.listen(join(place, SOCKET), done));
  // A socket's file without anybody behind it.
  if (!answer) await new Promise((done) => server.close(done));
  else servers.push(server);
  if (!answer) writeFileSync(join(place, SOCKET), "");
}

test("nobody stands by, or only what is not ready or of another program → nothing is taken", async () => {
  expect(await takeStandby(home, vm)).toBeUndefined();
  await standby(`${WARMING}-${standbyName(TEMPLATE, "a")}`, () => "ready\n");
  await standby(`${READY}-00000000-a`, () => "ready\n");
  expect(await takeStandby(home, vm)).toBeUndefined();
  expect(readdirSync(standbysFolder(home))).toHaveLength(2);
});

test("one that is ready → told the VM, its log goes along, its folder is gone", async () => {
  let asked = "";
  await standby(`${READY}-${standbyName(TEMPLATE, "a")}`, (line) => ((asked = line), "ready\n"));
  expect(await takeStandby(home, vm)).toBe("ready\n");
  expect(JSON.parse(asked)).toEqual({ vm: vm.path });
  expect(readFileSync(vm.log, "utf8")).toBe("said before\n");
  expect(readdirSync(standbysFolder(home))).toEqual([]);
  expect(await takeStandby(home, vm)).toBeUndefined();
});

test("a dead one before one that lives → passed over and removed", async () => {
  await standby(`${READY}-${standbyName(TEMPLATE, "a")}`);
  await standby(`${READY}-${standbyName(TEMPLATE, "b")}`, () => '{"message":"no"}\n');
  expect(await takeStandby(home, vm)).toBe('{"message":"no"}\n');
  expect(readdirSync(standbysFolder(home))).toEqual([]);
});

test("one that dies when it is asked → the next takes the VM up", async () => {
  await standby(`${READY}-${standbyName(TEMPLATE, "a")}`, () => "");
  await standby(`${READY}-${standbyName(TEMPLATE, "b")}`, () => "ready\n");
  expect(await takeStandby(home, vm)).toBe("ready\n");
  expect(readFileSync(vm.log, "utf8")).toBe("said before\n");
  expect(readdirSync(standbysFolder(home))).toEqual([]);
});

test("a machine of the VM's template stands by, and others → it is taken first, then any", async () => {
  const other = "base-fedcba9876543210";
  for (const [template, name] of [
    [TEMPLATE, "a"],
    [other, "b"],
    [TEMPLATE, "c"],
  ] as const)
    await standby(`${READY}-${standbyName(template, name)}`, () => `${name}\n`);
  expect(await takeStandby(home, vm, other)).toBe("b\n");
  expect(["a\n", "c\n"]).toContain(await takeStandby(home, vm, other));
});

test("several VMs at once and one that stands by → one gets it", async () => {
  await standby(`${READY}-${standbyName(TEMPLATE, "a")}`, () => "ready\n");
  const vms = ["vm-2", "vm-3", "vm-4"].map((id) => new VmFolder(home, id));
  for (const each of vms) mkdirSync(each.path);
  const answers = await Promise.all(vms.map((each) => takeStandby(home, each)));
  expect(answers.filter((answer) => answer === "ready\n")).toHaveLength(1);
  expect(vms.filter((each) => existsSync(each.log))).toHaveLength(1);
});
