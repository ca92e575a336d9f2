import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createQueztlClient } from "@queztl/api";
import { expect, test } from "vitest";
import { startTestServer } from "../testing/start-test-server.ts";

test("a start that is asked for a token → one that works, in place of the one before; others stay", async () => {
  const home = await mkdtemp(join(tmpdir(), "queztl-tokens-"));
  const secrets: string[] = [];
  try {
    for (const token of [undefined, "mine", "mine"]) {
      const { server } = await startTestServer({ home }, token === undefined ? {} : { token });
      secrets.push(server.token ?? "");
      const answers = secrets.map((secret) =>
        createQueztlClient({ url: server.url, token: secret })
          .token.list.query({ revoked: false })
          .then(
            ({ items }) => items.map(({ name }) => name).sort(),
            ({ status }: { status: unknown }) => status,
          ),
      );
      const names = token === undefined ? ["first"] : ["first", "mine"];
      const expected = secrets.map((_, at) =>
        at === secrets.length - 1 || at === 0 ? names : "unauthorised",
      );
      expect(await Promise.all(answers)).toEqual(expected);
      await server.close();
    }
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
