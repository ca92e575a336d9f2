import { createSocket } from "node:dgram";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { checkPort, checkPortsFree, freePort } from "./host-ports.ts";

const address = "127.0.0.1";

test("a TCP port that another program listens on → QZ_SERVER_PORT_TAKEN; free again → nothing", async () => {
  const other = createServer().listen(0, address);
  await once(other, "listening");
  const ports = [
    { host: (other.address() as AddressInfo).port, protocol: "tcp" as const, address },
  ];
  const taken = { code: "QZ_SERVER_PORT_TAKEN", status: "conflict" };
  await expect(checkPortsFree(ports)).rejects.toMatchObject(taken);
  other.close();
  await once(other, "close");
  await checkPortsFree(ports);
});

test("a UDP port that another program has → QZ_SERVER_PORT_TAKEN; the TCP port of that number → nothing", async () => {
  const other = createSocket("udp4").bind(0, address);
  await once(other, "listening");
  const { port } = other.address();
  const udp = { host: port, protocol: "udp" as const, address };
  await expect(checkPortsFree([udp])).rejects.toMatchObject({ code: "QZ_SERVER_PORT_TAKEN" });
  await checkPortsFree([{ ...udp, protocol: "tcp" }]);
  other.close();
});

test("a free port → one that can be listened on", async () => {
  const host = await freePort();
  await expect(checkPortsFree([{ host, protocol: "tcp", address }])).resolves.toBeUndefined();
});

test.each([
  ["tcp", "0.0.0.0"],
  ["sctp", address],
])("%s at %s → QZ_SERVER_UNSUPPORTED", (protocol, from) => {
  const code = "QZ_SERVER_UNSUPPORTED";
  expect(() => checkPort(protocol, from)).toThrow(expect.objectContaining({ code }));
});
