import { findRecord } from "../paging/jump-table.ts";
import { State } from "../state/layout.ts";
import { RegionExit } from "../state/status.ts";
import { i32, i64 } from "../wasm/index.ts";
import type { Callee, Local, ModuleBuilder } from "../wasm/index.ts";

/**
 * Writes the function `(state) → RegionExit`: the block at `State.Rip` if it is decoded and its page known, which is
 * then noted; else `RegionExit.Look`.
 */
export function defineFind(module: ModuleBuilder): Callee {
  return module.define({ parameters: ["i32"], results: ["i32"] }, (f) => {
    const [{ get: state }] = f.parameters as [Local<"i32">];
    const rip = f.let(i64.load(state, State.Rip));
    findRecord(f, state, rip, (record) => {
      f.store.i64(state, i64.and(rip, i64.const(-4096)), State.RipPage);
      f.return(i32.or(record, i32.const(RegionExit.Block)));
    });
    f.return(i32.const(RegionExit.Look));
  });
}
