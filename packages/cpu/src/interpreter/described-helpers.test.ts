import { expect, test } from "vitest";
import { descriptions } from "../semantics/descriptions.ts";
import { helpers } from "../system/helpers.ts";
import { ModuleBuilder } from "../wasm/index.ts";
import type { I32, Local } from "../wasm/index.ts";
import { enumerateShapes } from "./enumerate.ts";
import { HandlerContext } from "./handler-context.ts";
import type { Exits } from "./handler-context.ts";

test("every description that leaves something to a helper → there is one of its name", () => {
  const asking = new Set<string>();
  const module = new ModuleBuilder();
  const none = module.importFunction("none", ["i32", "i32", "i32"], ["i32"]);
  const callees = { translate: none, finishWrite: none, help: none, link: none, segment: none };
  for (const shape of enumerateShapes()) {
    module.define({ parameters: ["i32", "i64"], results: [] }, (f) => {
      const [record, operandAddress] = f.parameters as [Local<"i32">, Local<"i64">];
      const leave = (): void => f.return();
      const exits: Exits = {
        next: leave,
        fault: leave,
        again: leave,
        jump: leave,
        branch: leave,
        far: leave,
        help: () => asking.add(shape.name),
        beforeCall: () => undefined,
        afterWrite: () => undefined,
      };
      const state: I32 = record.get;
      const place = { f, state, record: record.get, operandAddress };
      descriptions[shape.name]?.describe(new HandlerContext(shape, place, callees, exits));
    });
  }
  expect([...asking].filter((name) => helpers[name] === undefined)).toEqual([]);
  expect(asking.has("addsd")).toBe(true);
});
