import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describe } from "../testing/packages.ts";
import { mirrorSource } from "./mirror.ts";

const deb = new TextEncoder().encode("the bytes of a package");
const known = describe("known", deb);
let server: Server;
let base: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === `/debian/${known.path}`) response.end(deb);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian/`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test("a pinned package → its bytes by its path, with progress", async () => {
  const received: number[] = [];
  const bytes = await mirrorSource(base).fetch(known, { onBytes: (n) => received.push(n) });
  expect(new TextDecoder().decode(bytes)).toBe("the bytes of a package");
  expect(received.at(-1)).toBe(deb.length);
});

test("a package the mirror lacks, or that is longer than it should be → rejected", async () => {
  const mirror = mirrorSource(base);
  await expect(mirror.fetch({ ...known, path: "pool/gone.deb" })).rejects.toThrow(/404/);
  await expect(mirror.fetch({ ...known, size: 5 })).rejects.toThrow(/longer than 5 bytes/);
});

test("an index over plain HTTP → QZ_IMAGES_BAD_INDEX, because nothing signs it here", async () => {
  await expect(mirrorSource(base).newest("known")).rejects.toMatchObject({
    code: "QZ_IMAGES_BAD_INDEX",
  });
});

test("a cancelled fetch → rejected with the signal's reason", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(mirrorSource(base).fetch(known, { signal })).rejects.toThrow("enough");
});
