import type { ContractCase } from "./contract-case.ts";

/** What every server keeps about tasks and the brain's part in them. */
export const taskCases: readonly ContractCase[] = [
  {
    name: "task.submit → runs to its result; its decision is explained; its files can be read",
    needs: "vm",
    async run({ call, follow, expect }) {
      const { id: task, state } = await call("task.submit", {
        description: "Count the words of a file",
        command: ["sh", "-c", "wc -w <words.txt | tee count.txt"],
        files: [{ name: "words.txt", data: btoa("one two three\n") }],
        priority: 5,
      });
      expect(["queued", "preparing", "running", "succeeded"].includes(state)).toEqual(true);
      let output = "";
      for await (const piece of follow("task.followLogs", { task })) {
        if (piece.stream === "stdout") output += piece.text;
      }
      expect(output.trim()).toEqual("3");
      const done = await call("task.get", { task });
      expect(done).toMatchObject({ state: "succeeded", priority: 5, problem: null });
      expect(done.attempts).toMatchObject([{ number: 1, outcome: "ok", exitCode: 0 }]);
      const logged = await call("task.logs", { task, streams: ["stdout"] });
      expect(logged.items.map(({ text }) => text).join("")).toEqual(output);
      const { items } = await call("task.files", { task });
      expect(items.map(({ name }) => name)).toEqual(["count.txt"]);
      const file = await call("task.readFile", { task, name: "count.txt" });
      expect(atob(file.data).trim()).toEqual("3");
      const listed = await call("task.list", { states: ["succeeded"], limit: 1 });
      expect(listed.items.map(({ id }) => id)).toEqual([task]);
      const explanation = await call("brain.explain", { task });
      expect(explanation).toMatchObject({ task, attempt: 1, repeats: true });
    },
  },
  {
    name: "task.submit twice with one idempotency key → one task",
    async run({ call, expect }) {
      const idempotencyKey = crypto.randomUUID();
      const input = { description: "Sleep", command: ["sleep", "600"], idempotencyKey };
      const [first, second] = [await call("task.submit", input), await call("task.submit", input)];
      expect(second.id).toEqual(first.id);
      await call("task.cancel", { task: first.id });
    },
  },
  {
    name: "task.cancel → cancelled, a second time too; task.retry → queued anew",
    async run({ call, expect }) {
      const input = { description: "Sleep", command: ["sleep", "600"] };
      const { id: task } = await call("task.submit", input);
      expect((await call("task.cancel", { task, reason: "no need" })).state).toEqual("cancelled");
      expect((await call("task.cancel", { task })).state).toEqual("cancelled");
      const { state } = await call("task.retry", { task });
      expect(["queued", "preparing", "running"].includes(state)).toEqual(true);
      await call("task.cancel", { task });
    },
  },
  {
    name: "a task, a result file or a decision that there is not → not-found",
    async run({ call, refusal, expect }) {
      const task = "there-is-no-such-task";
      const decision = "there-is-no-such-decision";
      for (const ask of [
        () => call("task.get", { task }),
        () => call("task.cancel", { task }),
        () => call("task.readFile", { task, name: "a" }),
        () => call("brain.explain", { decision }),
      ]) {
        expect((await refusal(ask())).status).toEqual("not-found");
      }
    },
  },
  {
    name: "task.submit with a file that leaves its directory → QZ_API_INPUT_INVALID",
    async run({ call, refusal, expect }) {
      for (const name of ["../etc/passwd", "/etc/passwd", "a/../../b", "a\\b", "a//b", "."]) {
        const files = [{ name, data: "" }];
        const answer = call("task.submit", { description: "Read", files });
        expect((await refusal(answer)).code).toEqual("QZ_API_INPUT_INVALID");
      }
    },
  },
  {
    name: "brain.export and import → the same knowledge; optimize as a dry run → nothing done",
    async run({ call, expect }) {
      const { experiences } = await call("brain.status", {});
      const { id: file, bytes } = await call("brain.export", {});
      expect((await call("file.read", { file, length: 1 })).bytes).toEqual(bytes);
      const after = await call("brain.import", { file, mode: "replace" });
      expect(after.experiences).toEqual(experiences);
      const { actions } = await call("brain.optimize", { dryRun: true });
      expect(actions.filter(({ done }) => done)).toEqual([]);
      const known = await call("brain.knowledge", { family: "there is no such family" });
      expect(known).toEqual({ items: [], nextCursor: null });
      const forgotten = await call("brain.forget", { family: "there is no such family" });
      expect(forgotten).toEqual({ experiences: 0 });
    },
  },
];
