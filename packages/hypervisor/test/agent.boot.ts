import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { AgentClient, ConsoleChannel, Machine } from "../src/index.ts";
import { restoreMachine, saveMachine } from "../src/node/index.ts";
import { imageOf, kernelOf } from "./guest.ts";

const folder = mkdtempSync(join(tmpdir(), "queztl-agent-boot-"));
afterAll(() => rmSync(folder, { recursive: true }));

const decode = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

test("a guest's agent, a snapshot amid its output, two machines from it → each with a session and an identity of its own", async () => {
  const image = await imageOf("cloud");
  if (typeof image === "string") throw new Error(image);
  const kernel = await kernelOf(image, "cryptomgr.notests=1 quiet");
  const channel = new ConsoleChannel();
  const options = { ...kernel, memoryMib: 256 };
  await using machine = await Machine.create({ ...options, devices: [channel.device] });
  machine.start();
  const client = await AgentClient.connect(channel, { timeoutMs: 600_000 });
  const measured = async <Result>(what: string, work: () => Promise<Result>): Promise<Result> => {
    const [start, before] = [performance.now(), machine.statistics.instructions];
    const result = await work();
    const millions = (machine.statistics.instructions - before) / 1e6;
    console.log(
      `${what}: ${Math.round(performance.now() - start)} ms, ${millions.toFixed(1)} M instructions`,
    );
    return result;
  };

  await measured("first command", () => client.run(["true"]));
  const uname = await measured("uname", () => client.run(["uname", "-r"]));
  expect(uname.stdout).toBe(`${image.release}\n`);
  expect(uname.usage.source).toBe("cgroup");

  // 20 MB of a file in memory, and what the kernel needs for it.
  const grow = "dd if=/dev/zero of=/tmp/grown bs=1M count=20 2>/dev/null; rm /tmp/grown";
  const { usage } = await measured("20 MB", () => client.run(["sh", "-c", grow]));
  expect(usage.peakMemoryBytes).toBeGreaterThan(20e6);
  expect(usage.peakMemoryBytes).toBeLessThan(30e6);

  // Without a control group nothing would be found that left the session.
  const escape = "setsid sh -c 'sleep 1000' & setsid setsid sleep 1001 & sleep 1002";
  const killed = await client.run(["sh", "-c", escape], { timeoutMs: 1000 });
  expect(killed).toMatchObject({ timedOut: true, status: 137 });
  // The dead are there until their parents, or init, take note.
  const gone = ["sh", "-c", "while pidof sleep; do usleep 20000; done"];
  expect((await client.run(gone, { timeoutMs: 30_000 })).timedOut).toBe(false);

  const content = new Uint8Array(1_000_000).map((_, i) => i >> 3);
  await measured("1 MB in", () => client.writeFile("/tmp/content", content));
  const read = await measured("1 MB out", () => client.readFile("/tmp/content"));
  expect(Buffer.compare(read, content)).toBe(0);

  const agentDies = client.run(["sh", "-c", "kill -9 $PPID; sleep 1000"]);
  await expect(agentDies).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_RESTARTED" });
  expect((await client.run(["cat", "/proc/uptime"])).status).toBe(0);

  const warm = client.exec(["sh", "-c", "echo warm; while read x; do echo got $x; done"], {
    persist: "warm",
  });
  expect(decode((await warm.stdout.getReader().read()).value)).toBe("warm\n");
  const chatter = client.exec(["yes"], { stdin: "none" });
  await chatter.stdout.getReader().read();
  await machine.pause();
  await saveMachine(machine, folder);

  const seen: string[][] = [];
  for (const hostname of ["first", "second"]) {
    const own = new ConsoleChannel();
    await using copy = await restoreMachine(folder, { ...kernel, devices: [own.device] });
    copy.start();
    const start = performance.now();
    await using session = await AgentClient.connect(own, { timeoutMs: 120_000 });
    const entropy = crypto.getRandomValues(new Uint8Array(32));
    await session.configure({
      hostname,
      entropy,
      clock: "now",
      machineId: "0".repeat(31) + seen.length,
    });
    const command = [
      "sh",
      "-c",
      "hostname; cat /etc/machine-id; head -c 16 /dev/urandom | od -An -tx1; date +%s",
    ];
    const { stdout } = await session.run(command);
    console.log(
      `restored, connected, configured, first output: ${Math.round(performance.now() - start)} ms`,
    );
    seen.push(stdout.trim().split("\n"));
    expect(Math.abs(Number(seen.at(-1)?.[3]) - Date.now() / 1000)).toBeLessThan(60);

    const attached = session.attach("warm");
    await attached.stdin.getWriter().write(new TextEncoder().encode(`${hostname}\n`));
    expect(decode((await attached.stdout.getReader().read()).value)).toBe(`got ${hostname}\n`);
    expect((await session.run(["pidof", "yes"])).stdout).toBe("");
    await session.shutdown("power-off");
    expect(await copy.ended).toEqual({ reason: "power-off" });
  }
  const [first, second] = seen;
  for (const what of [0, 1, 2]) expect(first?.[what]).not.toBe(second?.[what]);
});
