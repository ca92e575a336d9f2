import type { ContractCase } from "./contract-case.ts";

/** What every server keeps about nodes, images, files, settings, tokens and events. */
export const serverCases: readonly ContractCase[] = [
  {
    name: "node.cordon → cordoned, and back; a node added → listed, drained, removed",
    async run({ call, expect }) {
      const name = `node-${Date.now().toString(36)}`;
      const node = await call("node.add", { name, cpu: 4, memoryMib: 8192 });
      expect(node).toMatchObject({ name, cordoned: false, capacity: { cpu: 4 } });
      const { items } = await call("node.list", {});
      expect(items.some(({ id }) => id === node.id)).toEqual(true);
      expect((await call("node.cordon", { node: name })).cordoned).toEqual(true);
      const back = await call("node.cordon", { node: name, cordoned: false });
      expect(back.cordoned).toEqual(false);
      expect((await call("node.drain", { node: name })).cordoned).toEqual(true);
      expect((await call("node.get", { node: name })).id).toEqual(node.id);
      expect((await call("node.remove", { node: name })).id).toEqual(node.id);
    },
  },
  {
    name: "image.list → at least the default image; an image that there is not → not-found",
    async run({ call, refusal, expect }) {
      const { items } = await call("image.list", {});
      const [first] = items.filter((image) => image.default);
      expect(first === undefined).toEqual(false);
      if (first === undefined) return;
      expect((await call("image.get", { image: first.name })).id).toEqual(first.id);
      const gone = call("image.remove", { image: "there-is-no-such-image" });
      expect((await refusal(gone)).status).toEqual("not-found");
      const nothing = call("image.import", { name: "", file: "there-is-no-such-file" });
      expect((await refusal(nothing)).code).toEqual("QZ_API_INPUT_INVALID");
    },
  },
  {
    name: "a file in two pieces → whole; a piece at the wrong place → conflict; removed → not-found",
    async run({ call, refusal, expect }) {
      const { id: file } = await call("file.create", { name: "words.txt", bytes: 6 });
      await call("file.write", { file, offset: 0, data: btoa("abc") });
      const early = call("file.write", { file, offset: 5, data: btoa("f") });
      expect((await refusal(early)).status).toEqual("conflict");
      const whole = await call("file.write", { file, offset: 3, data: btoa("def") });
      expect(whole).toMatchObject({
        received: 6,
        sha256: "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721",
      });
      const part = await call("file.read", { file, offset: 2, length: 3 });
      expect(part).toEqual({ data: btoa("cde"), offset: 2, bytes: 6 });
      await call("file.remove", { file });
      expect((await refusal(call("file.get", { file }))).status).toEqual("not-found");
    },
  },
  {
    name: "config.set → the new value; reset → the default; a setting that there is not → not-found",
    async run({ call, refusal, expect }) {
      const key = "optimize.everySeconds";
      expect(await call("config.set", { key, value: 120 })).toMatchObject({
        key,
        value: 120,
        source: "stored",
      });
      const { items } = await call("config.get", { prefix: "optimize" });
      expect(items.some((setting) => setting.key === key)).toEqual(true);
      const reset = await call("config.reset", { key });
      expect(reset.value).toEqual(reset.default);
      const gone = call("config.set", { key: "there.isNoSuchSetting", value: true });
      expect((await refusal(gone)).status).toEqual("not-found");
    },
  },
  {
    name: "token.create → usable for its scopes only; revoked → refused",
    async run({ call, target, refusal, expect }) {
      const scopes = ["stats:read" as const, "token:write" as const];
      const { token, secret } = await call("token.create", { name: "narrow", scopes });
      expect(token).toMatchObject({ name: "narrow", scopes, revokedAt: null });
      expect(await target.call("stats.get", {}, secret)).toMatchObject({ host: {} });
      const more = { name: "wide", scopes: ["admin"] };
      const raised = await refusal(target.call("token.create", more, secret));
      expect(raised.code).toEqual("QZ_API_SCOPE_EXCEEDED");
      const revoked = await call("token.revoke", { token: token.id });
      expect(revoked.revokedAt === null).toEqual(false);
      const { code } = await refusal(target.call("stats.get", {}, secret));
      expect(code).toEqual("QZ_API_TOKEN_INVALID");
      const { items } = await call("token.list", { revoked: true });
      expect(items.some(({ id }) => id === token.id)).toEqual(true);
    },
  },
  {
    name: "token.list a page of two at a time → every token once, the same as in one page",
    async run({ call, expect }) {
      const made: string[] = [];
      for (let index = 0; index < 3; index += 1) {
        const input = { name: `page ${index}`, scopes: ["stats:read" as const] };
        made.push((await call("token.create", input)).token.id);
      }
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await call("token.list", {
          limit: 2,
          ...(cursor === undefined ? {} : { cursor }),
        });
        expect(page.items.length <= 2).toEqual(true);
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined);
      expect(new Set(seen).size).toEqual(seen.length);
      expect(made.filter((id) => !seen.includes(id))).toEqual([]);
      for (const token of made) await call("token.revoke", { token });
    },
  },
  {
    name: "events.subscribe after an event → exactly the later ones, in their order",
    async run({ call, follow, expect }) {
      const make = async () =>
        (await call("token.create", { name: "event", scopes: ["vm:read"] })).token.id;
      const stream = follow("events.subscribe", { topics: ["token"] })[Symbol.asyncIterator]();
      const state = { open: false };
      const first = stream.next().then((seen) => {
        state.open = true;
        return seen;
      });
      // Only a first event tells that the subscription is open.
      for (let index = 0; index < 1000 && !state.open; index += 1) {
        await call("token.revoke", { token: await make() });
      }
      const seen = await first;
      await stream.return?.();
      if (seen.done === true) throw new Error("the subscription ended");
      const made = [await make(), await make()];
      const lastEventId = seen.value.id;
      const created: (string | null)[] = [];
      for await (const event of follow("events.subscribe", { lastEventId, topics: ["token"] })) {
        expect(event.id === lastEventId).toEqual(false);
        if (event.type === "token.created") created.push(event.subject);
        if (event.subject === made[1]) break;
      }
      expect(created.slice(-2)).toEqual(made);
      for (const token of made) await call("token.revoke", { token });
    },
  },
  {
    name: "stats.get → counts by state and the host's size",
    async run({ call, expect }) {
      const stats = await call("stats.get", {});
      expect(stats.host.cpu >= 1).toEqual(true);
      expect(Object.values(stats.tasks).every((count) => count >= 0)).toEqual(true);
    },
  },
];
