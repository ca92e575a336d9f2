import { expect, test } from "vitest";
import { consoleAddress } from "./connect.ts";

const grant = {
  path: "/v1/console",
  ticket: "abcdefghijklmnop",
  protocol: "queztl.console.v1",
  expiresAt: "2026-01-02T03:04:05Z",
};

test("a grant of an https server → a wss address on that host, the ticket only as a subprotocol", () => {
  expect(consoleAddress("https://queztl.example:7070/?a=b#c", grant)).toEqual({
    url: "wss://queztl.example:7070/v1/console",
    protocols: ["queztl.console.v1", "queztl.ticket.abcdefghijklmnop"],
  });
});

test("a path that looks like another host → stays on the server's own", () => {
  const { url } = consoleAddress("http://queztl.example", { ...grant, path: "//evil.example/x" });
  expect(new URL(url).host).toBe("queztl.example");
});

test("the subprotocols → accepted by the platform's WebSocket", () => {
  const { url, protocols } = consoleAddress("http://127.0.0.1:9", grant);
  const socket = new WebSocket(url, protocols);
  socket.close();
  expect(socket.url).toBe("ws://127.0.0.1:9/v1/console");
});
