import { readFileSync } from "node:fs";
import { TRPCError } from "@trpc/server";
import { getHTTPStatusCodeFromError } from "@trpc/server/http";
import { expect, test } from "vitest";
import { STATUS_TABLE } from "./status-table.ts";

test("each row → the HTTP status that tRPC itself gives its code", () => {
  for (const { trpc, http } of Object.values(STATUS_TABLE)) {
    expect(getHTTPStatusCodeFromError(new TRPCError({ code: trpc }))).toBe(http);
  }
});

test("the README's table → exactly these rows", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const section = /^## Statuses\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
  const rows = [...section.matchAll(/^\| `([a-z-]+)` +\| `([A-Z_]+)` +\| (\d+) +\|$/gm)];
  expect(
    Object.fromEntries(
      rows.map(([, status, trpc, http]) => [status, { trpc, http: Number(http) }]),
    ),
  ).toEqual(STATUS_TABLE);
});
