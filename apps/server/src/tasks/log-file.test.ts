import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LogFile } from "./log-file.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "queztl-log-"));
  path = join(folder, "log.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

const texts = (items: readonly { text: string }[]) => items.map(({ text }) => text);
const never = new AbortController().signal;

test("pages of two → each piece once, in order; a tail → the last ones; streams → only those", async () => {
  const log = new LogFile(path, { mostMib: 1 });
  for (const [index, stream] of (
    ["stdout", "stderr", "stdout", "system", "stdout"] as const
  ).entries()) {
    await log.say(stream, `${index}`);
  }
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const { items, next } = await log.read({ after }, 2);
    seen.push(...texts(items));
    after = next ?? undefined;
  } while (after !== undefined);
  expect(seen).toEqual(["0", "1", "2", "3", "4"]);
  expect(texts((await log.read({ tail: 2 }, 10)).items)).toEqual(["3", "4"]);
  expect(texts((await log.read({ streams: ["stdout"], tail: 2 }, 10)).items)).toEqual(["2", "4"]);
  expect(texts((await log.read({ tail: 0 }, 10)).items)).toEqual([]);
});

test("half a character, then its rest → one whole character", async () => {
  const log = new LogFile(path, { mostMib: 1 });
  const bytes = new TextEncoder().encode("é");
  await log.write("stdout", bytes.subarray(0, 1));
  await log.write("stdout", bytes.subarray(1));
  expect(texts((await log.read({}, 10)).items).join("")).toBe("é");
});

test("following → what is there, what comes, and the end; resuming → nothing twice", async () => {
  const log = new LogFile(path, { mostMib: 1 });
  await log.say("stdout", "a");
  const seen: string[] = [];
  const ids: string[] = [];
  const followed = (async () => {
    for await (const { id, text } of log.follow({}, never)) {
      seen.push(text);
      ids.push(id);
    }
  })();
  await log.say("stdout", "b");
  await log.end();
  await followed;
  expect(seen).toEqual(["a", "b"]);
  const again: string[] = [];
  for await (const { text } of log.follow({ after: ids[0] }, never)) again.push(text);
  expect(again).toEqual(["b"]);
});

test("a line cut by a power failure → passed over, and what comes after it is read", async () => {
  const log = new LogFile(path, { mostMib: 1 });
  await log.say("stdout", "before");
  appendFileSync(path, '{"a":1,"s":"std');
  const next = new LogFile(path, { mostMib: 1 });
  await next.say("stdout", "after");
  expect(texts((await next.read({}, 10)).items)).toEqual(["before", "after"]);
});

test("more than the limit → a last piece says so, and nothing more is kept", async () => {
  const log = new LogFile(path, { mostMib: 0.001 });
  for (let index = 0; index < 50; index += 1) await log.say("stdout", "x".repeat(100));
  const { items } = await log.read({}, 100);
  expect(items.at(-1)).toMatchObject({
    stream: "system",
    text: expect.stringContaining("ends here"),
  });
  expect(items.length).toBeLessThan(12);
});
