import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { buildImage } from "@queztl/images/node";
import { afterAll, expect, test } from "vitest";
import { testFolder, until } from "./virtio-guest.ts";

const folder = testFolder("virtio-switch");
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  folder.remove();
});

/** A shell in a guest of a queztl-vm process. */
class Terminal {
  readonly #child: ChildProcess;
  #text = "";
  #from = 0;
  #commands = 0;

  constructor(args: readonly string[]) {
    const main = join(import.meta.dirname, "../src/node/main.ts");
    this.#child = spawn(process.execPath, ["--conditions=@queztl/source", main, "run", ...args]);
    children.push(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (data: Buffer) => (this.#text += data.toString("latin1")));
  }

  async until(what: string): Promise<string> {
    const there = (): boolean => this.#text.includes(what, this.#from);
    await until(JSON.stringify(what), there, 600_000);
    const end = this.#text.indexOf(what, this.#from) + what.length;
    const found = this.#text.slice(this.#from, end);
    this.#from = end;
    return found;
  }

  /** Types a command; what it printed. */
  async run(command: string): Promise<string> {
    const mark = `end-${this.#commands++}`;
    this.#child.stdin?.write(`${command}; echo en''${mark.slice(2)}\n`);
    return this.until(mark);
  }

  get ended(): Promise<number | null> {
    return new Promise((resolve) => this.#child.once("close", resolve));
  }
}

test("two queztl-vm processes on a switch → they ping each other, and a file goes across whole", async () => {
  const image = await buildImage({ flavour: "cloud", agent: false });
  const place = join(folder.path, "lan");
  const kernel = ["--kernel", image.kernel.path, "--initrd", image.initramfs.path];
  const append = ["--append", "console=ttyS0 cryptomgr.notests=1 quiet", "--memory", "256"];
  const listening = new Terminal([...kernel, ...append, "--net", `switch,listen=${place}`]);
  await listening.until("queztl: init");
  const connected = new Terminal([...kernel, ...append, "--net", `switch,connect=${place}`]);
  for (const [guest, address] of [
    [listening, "10.9.0.1"],
    [connected, "10.9.0.2"],
  ] as const) {
    await guest.until(":~# ");
    await guest.run(`ip addr add ${address}/24 dev eth0`);
  }
  expect(await listening.run("ping -c 3 -W 10 10.9.0.2")).toContain(" 0% packet loss");
  expect(await connected.run("ping -c 3 -W 10 10.9.0.1")).toContain(" 0% packet loss");

  await listening.run("seq 300000 > /tmp/file; httpd -p 80 -h /tmp");
  await connected.run("wget -q -O /tmp/file http://10.9.0.1/file");
  const sums = await Promise.all(
    [listening, connected].map((each) => each.run("md5sum /tmp/file")),
  );
  const [first, second] = sums.map((text) => /[0-9a-f]{32}/.exec(text)?.[0]);
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(second).toBe(first);
  for (const guest of [connected, listening]) {
    const { ended } = guest;
    void guest.run("poweroff");
    expect(await ended).toBe(0);
  }
});
