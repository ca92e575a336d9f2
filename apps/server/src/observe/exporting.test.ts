import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { startExporting } from "./exporting.ts";
import { traced } from "./tracing.ts";

test("an OTLP endpoint in the environment → nested spans arrive there; without one nothing is sent", async () => {
  const posted: { url: string | undefined; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      posted.push({ url: request.url, body });
      response.end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint;
  try {
    await startExporting({}, "0")();
    const end = startExporting(process.env, "0");
    await traced("task.attempt", { task: "t1" }, () => traced("task.vm", {}, async () => 1));
    await end();
  } finally {
    delete process.env["OTEL_EXPORTER_OTLP_ENDPOINT"];
    await new Promise((resolve) => server.close(resolve));
  }
  expect(posted.map(({ url }) => url)).toEqual(["/v1/traces"]);
  const { resourceSpans } = JSON.parse(posted[0]?.body ?? "{}") as {
    resourceSpans: { scopeSpans: { spans: { name: string; parentSpanId?: string }[] }[] }[];
  };
  const spans = resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
  expect(spans.map(({ name }) => name)).toEqual(["task.vm", "task.attempt"]);
  expect(spans[0]?.parentSpanId).toMatch(/^[0-9a-f]{16}$/);
});
