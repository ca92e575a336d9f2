import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { disk, network } from "../src/node/index.ts";
import { Guest, imageOf, kernelOf } from "./guest.ts";

const folder = mkdtempSync(join(tmpdir(), "queztl-devices-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("disks and a network → the guest reads, writes, and is reached through a forwarded port", async () => {
  const image = await imageOf("cloud");
  if (typeof image === "string") throw new Error(image);
  const [path, other] = [join(folder, "disk.img"), join(folder, "readonly.img")];
  writeFileSync(path, Buffer.alloc(8 << 20, "abcd"));
  writeFileSync(other, Buffer.alloc(1 << 20, "efgh"));
  const hostPort = await freePort();
  const faults: Error[] = [];
  await using guest = await Guest.boot(
    {
      ...(await kernelOf(image, "cryptomgr.notests=1")),
      devices: [
        disk({ path, readOnly: false }),
        disk({ path: other, readOnly: true }),
        network({ forwards: [{ hostPort, guestPort: 7 }] }),
      ],
      events: { onDeviceFault: (_device, error) => void faults.push(error) },
    },
    600_000,
  );
  expect(await guest.run("head -c 8 /dev/vda; head -c 4 /dev/vdb")).toBe("abcdabcdefgh");
  await guest.run("printf written | dd of=/dev/vda bs=1 seek=4096 conv=notrunc,fsync 2>/dev/null");
  expect(readFileSync(path).subarray(4096, 4104).toString()).toBe("writtend");
  expect(await guest.run("echo x > /dev/vdb 2>/dev/null; echo $?")).toBe("1");
  expect(await guest.run("ip -4 -o addr show eth0")).toContain("10.0.2.15/24");
  expect(await guest.run("ping -c 1 10.0.2.2 | grep -c 'bytes from'")).toBe("1");

  await guest.run("nc -l -p 7 -e cat </dev/null >/dev/null 2>&1 & sleep 1");
  const echoed = await new Promise<string>((resolve, reject) => {
    const socket = connect(hostPort, "127.0.0.1", () => socket.write("hello guest"));
    socket.once("data", (data) => {
      resolve(String(data));
      socket.destroy();
    });
    socket.once("error", reject);
  });
  expect(echoed).toBe("hello guest");
  expect(faults).toEqual([]);
});
