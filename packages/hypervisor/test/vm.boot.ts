import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"; // prettier-ignore
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileTree, MemoryDisk, writeExt4 } from "@queztl/images";
import { queztlHome } from "@queztl/images/node";
import { afterAll, expect, test } from "vitest";
import { Vm } from "../src/node/index.ts";

const home = mkdtempSync(join(tmpdir(), "queztl-vm-boot-"));
for (const name of ["images", "packages"]) {
  mkdirSync(join(queztlHome(), name), { recursive: true });
  symlinkSync(join(queztlHome(), name), join(home, name));
}
afterAll(async () => {
  for (const { id } of await Vm.list({ home })) await Vm.destroy(id, { home });
  rmSync(home, { recursive: true });
});

const MINUTE = 60_000;

/** Runs a script in a process of its own until it says something, and kills it. @returns what it said. */
async function killedProcess(script: string): Promise<string> {
  const path = join(home, "script.ts");
  const api = JSON.stringify(join(import.meta.dirname, "../src/node/index.ts"));
  writeFileSync(
    path,
    `import { Vm } from ${api};\nconst home = ${JSON.stringify(home)};\n${script}`,
  );
  const child = spawn(process.execPath, ["--conditions=@queztl/source", path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += String(chunk);
      if (text.endsWith("\n")) resolve(text.trim());
    });
    child.once("exit", (code) => reject(new Error(`the script ended with ${code}: ${text}`)));
  });
  child.removeAllListeners("exit").kill("SIGKILL");
  return said;
}

test("a VM whose maker is killed → found, its commands, files and console as before, and its task taken over", async () => {
  const id = await killedProcess(`
    const vm = await Vm.create({ home, image: "base", memoryMib: 256, template: false, drives: 1 });
    const task = await vm.spawn(["sh", "-c", "while read x; do echo got $x; done; echo over; exit 4"], { persist: "task" });
    await task.stdin.getWriter().write(new TextEncoder().encode("one\\n"));
    const { value } = await task.stdout.getReader().read();
    if (new TextDecoder().decode(value) !== "got one\\n") throw new Error("no answer");
    console.log(vm.id);
    setInterval(() => undefined, 1000);
  `);
  const [found] = await Vm.list({ home });
  expect(found).toMatchObject({ id, state: "running", image: "base" });
  const vm = await Vm.open(id, { home });

  await expect
    .poll(async () => (await vm.status()).persistent, { timeout: MINUTE })
    .toEqual(["task"]);
  await expect.poll(async () => (await vm.status()).commands, { timeout: MINUTE }).toBe(0);
  const task = await vm.attach("task");
  const writer = task.stdin.getWriter();
  await writer.write(new TextEncoder().encode("two\n"));
  await writer.close();
  const [output, , { status }] = await Promise.all([
    new Response(task.stdout).text(),
    new Response(task.stderr).text(),
    task.done,
  ]);
  expect([output, status]).toEqual(["got two\nover\n", 4]);

  const result = await vm.exec(["sh", "-c", "cat; echo $WHO in $PWD >&2; exit 3"], {
    input: "typed",
    env: { WHO: "me" },
    cwd: "/tmp",
  });
  expect(result).toMatchObject({ stdout: "typed", stderr: "me in /tmp\n", status: 3 });
  await expect(vm.exec(["sleep", "100"], { timeoutMs: 500 })).resolves.toMatchObject({
    timedOut: true,
  });

  const files = join(home, "files");
  mkdirSync(join(files, "sub"), { recursive: true });
  writeFileSync(join(files, "sub", "data"), Buffer.alloc(300_000, "queztl"));
  await vm.copyIn(files, "/srv/in");
  const copied = await vm.copyOut("/srv/in", join(home, "out"));
  expect(copied).toMatchObject({ bytes: 300_000, skipped: [] });
  expect(readFileSync(join(home, "out", "sub", "data"))).toEqual(
    readFileSync(join(files, "sub", "data")),
  );
  await expect(vm.copyOut("/srv/in", join(home, "less"), { maxBytes: 1000 })).rejects.toMatchObject(
    {
      code: "QZ_HYPERVISOR_AGENT_LIMIT",
    },
  );

  // A disk that comes and goes while the guest runs.
  const tree = new FileTree();
  tree.add("hello", { content: "from the host\n" });
  const image = new MemoryDisk();
  await writeExt4(tree, image, { freeBytes: 1 << 20 });
  const disk = join(home, "disk.ext4");
  writeFileSync(disk, image.bytes);
  await vm.attachDisk(0, disk);
  const mount =
    "mkdir -p /mnt; mount -t ext4 /dev/vda /mnt && cat /mnt/hello /sys/block/vda/serial";
  const mounted = await vm.exec(["sh", "-c", `${mount}; echo new > /mnt/written`]);
  expect(mounted.stdout).toMatch(/^from the host\nqueztl-drive-0/);
  await expect(vm.detachDisk(0)).rejects.toMatchObject({ code: "QZ_HYPERVISOR_VM_STATE" });
  await expect(vm.snapshot("with-a-disk")).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_UNSUPPORTED",
  });
  await vm.exec(["umount", "/mnt"]);
  await vm.detachDisk(0);
  expect((await vm.exec(["cat", "/sys/block/vda/size"])).stdout).toBe("0\n");
  expect(readFileSync(disk).includes("written")).toBe(true);

  // A guest that floods its console holds up nobody and fills nothing.
  const flood = await vm.spawn(["sh", "-c", "yes hostile guest > /dev/ttyS0"], { stdin: "none" });
  const before = (await vm.stats()).consoleBytes;
  while ((await vm.stats()).consoleBytes < before + 300_000) await vm.status();
  flood.kill();
  const log = join((await vm.inspect()).folder, "console.log");
  expect(statSync(log).size).toBeLessThanOrEqual(2 * 1024 * 1024);
  await Promise.all([flood.stdout.cancel(), flood.stderr.cancel(), flood.done]);

  const first = await vm.stats();
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const second = await vm.stats();
  const cpu = second.cpuSeconds - first.cpuSeconds;
  console.log(
    `idle: ${((cpu / (second.wallSeconds - first.wallSeconds)) * 100).toFixed(1)} % of a processor`,
  );
  console.log(
    `resident: ${second.residentBytes / 2 ** 20} MiB, private: ${(second.privateBytes ?? 0) / 2 ** 20} MiB`,
  );
  expect(cpu).toBeLessThan(2);

  expect(await vm.stop({ graceMs: 2 * MINUTE })).toMatchObject({ reason: "stopped" });
});
