import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../../../", import.meta.url));

/** Pages that ask for shared memory must be isolated from other origins. */
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Serves the packages' sources as JavaScript, and `page` at `/`. Resolves with the server and its address. */
export async function serve(page: string): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    if (path === "/") {
      response.writeHead(200, { ...HEADERS, "Content-Type": "text/html" }).end(page);
      return;
    }
    if (!/^\/[a-z]+\/src\/[\w/-]+\.ts$/.test(path)) {
      response.writeHead(404, HEADERS).end();
      return;
    }
    readFile(packages + path.slice(1), "utf8").then(
      (source) =>
        response
          .writeHead(200, { ...HEADERS, "Content-Type": "text/javascript" })
          .end(stripTypeScriptTypes(source)),
      () => response.writeHead(404, HEADERS).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}
