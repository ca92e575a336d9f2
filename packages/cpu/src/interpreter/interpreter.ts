import type { Shape } from "../semantics/context.ts";
import { PseudoEntry } from "../execute/lower.ts";
import { findRecord } from "../paging/jump-table.ts";
import { ifCode, tlbEntryOf } from "../paging/place.ts";
import { descriptions } from "../semantics/descriptions.ts";

import { SegmentCheck, SegmentField, State } from "../state/layout.ts";
import { Head, Record } from "../state/record.ts";
import { HelperStatus, REGION_SIGNATURE, RegionExit, RunStatus } from "../state/status.ts";
import { ModuleBuilder, call, callIndirect, i32, i64, likely } from "../wasm/index.ts";
import type { Callee, FunctionBuilder, I32, I64, Label, Local } from "../wasm/index.ts";
import { HandlerContext } from "./handler-context.ts";
import type { Callees, Exits } from "./handler-context.ts";
import { Handler } from "./handlers.ts";

/** What the interpreter's module imports, under `env`; all integers are 32 bits. */
export interface InterpreterHost {
  translate(linearLow: number, linearHigh: number, request: number): number;
  finishWrite(): void;
  help(record: number): number;
  link(record: number): number;
  find(ripLow: number, ripHigh: number): number;
  refresh(record: number): number;
  segmentFault(field: number, offset: number, request: number): number;
  /** A block, by its first record, was entered as often as makes it worth translating. */
  hot(record: number): void;
}

const GROUPS = ["main", "rare", "vector"] as const;

/** The pages that a memory may have: those of 32-bit addresses. */
const MOST_PAGES = 65536;

/** The shapes of each group, whose handlers are numbered in this order. */
function inGroups(shapes: readonly Shape[]): Shape[][] {
  return GROUPS.map((name) =>
    shapes.filter(({ name: semantics }) => (descriptions[semantics]?.group ?? "main") === name),
  );
}

/** Which handler serves which shape: numbers by `Shape.key`. */
export function numberHandlers(shapes: readonly Shape[]): Map<string, number> {
  return new Map(
    inGroups(shapes)
      .flat()
      .map(({ key }, i) => [key, Handler.Count + i]),
  );
}

/**
 * Writes the interpreter: one function with a handler for each hot shape behind one `br_table`, and a
 * function for each group of others. Its export `run(budget)` returns a `RunStatus`.
 * @param wide for guests whose RAM is a second memory, of 64-bit addresses.
 */
export function writeInterpreter(shapes: readonly Shape[], wide = false): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(wide);
  const imports = {
    translate: module.importFunction("translate", ["i32", "i32", "i32"], [wide ? "f64" : "i32"]),
    finishWrite: module.importFunction("finishWrite", [], []),
    help: module.importFunction("help", ["i32"], ["i32"]),
    link: module.importFunction("link", ["i32"], ["i32"]),
    find: module.importFunction("find", ["i32", "i32"], ["i32"]),
    refresh: module.importFunction("refresh", ["i32"], ["i32"]),
    segmentFault: module.importFunction("segmentFault", ["i32", "i32", "i32"], ["i32"]),
    hot: module.importFunction("hot", ["i32"], []),
  };
  const state = module.importGlobal("state", "i32");
  const bounce = wide ? module.importGlobal("bounce", "i64") : undefined;
  module.importTable("regions");
  const regionType = module.typeIndex(REGION_SIGNATURE);
  const segment = defineSegment(module, state, imports.segmentFault);
  const callees: Callees = { ...imports, segment };

  const [main = [], ...others] = inGroups(shapes);
  let next = Handler.Count + main.length;
  const groupFunctions = others.map((group) => {
    const base = next;
    next += group.length;
    return { base, callee: defineGroup(module, group, base, state, bounce, callees) };
  });
  defineRun(module, main, groupFunctions, state, bounce, callees, imports, regionType);
  return module.encode(MOST_PAGES);
}

/**
 * `segment(field, offset, request)`: the linear address of an offset outside 64-bit mode. Segments that need
 * only their limit compared are handled here, expand-down and faulting ones by the host.
 */
function defineSegment(module: ModuleBuilder, state: I32, slow: Callee): Callee {
  return module.define({ parameters: ["i32", "i32", "i32"], results: ["i64"] }, (f) => {
    const [field, offset, request] = f.parameters.map((local) => local.get) as [I32, I32, I32];
    const at = f.let(i32.add(state, field));
    const bytes = i32.and(request, i32.const(0xff));
    const last = i64.add(i64.extend_i32_u(offset), i64.extend_i32_u(i32.sub(bytes, i32.const(1))));
    const limit = i64.load32_u(at, State.Segments + SegmentField.Limit);
    // Bit 8 of the request asks for writing: check bit 1, else bit 0.
    const wanted = i32.shl(
      i32.const(SegmentCheck.Read),
      i32.and(i32.shr_u(request, i32.const(8)), i32.const(1)),
    );
    const checks = i32.load(at, State.Segments + SegmentField.Checks);
    const denied = i32.eqz(i32.and(i32.eq(i32.and(checks, wanted), wanted), i64.le_u(last, limit)));
    f.if(denied, () => {
      f.if(call<"i32">(slow, field, offset, request), () => f.return(i64.const(-1)));
    });
    const base = i64.load(at, State.Segments + SegmentField.Base);
    f.return(i64.and(i64.add(base, i64.extend_i32_u(offset)), i64.const(0xffffffffn)));
  });
}

/** Nested blocks, one around the next: branching to label i continues with body i. */
function dispatch(
  f: FunctionBuilder,
  index: I32,
  bodies: readonly (() => void)[],
  otherwise: () => void,
): void {
  const labels: Label[] = [];
  const nest = (depth: number): void => {
    if (depth <= bodies.length) {
      f.block((label) => {
        labels[depth] = label;
        nest(depth + 1);
      });
      if (depth < bodies.length) (bodies[depth] as () => void)();
      else otherwise();
      return;
    }
    f.brTable(index, labels.slice(0, bodies.length), labels[bodies.length] as Label);
  };
  nest(0);
}

function defineGroup(
  module: ModuleBuilder,
  shapes: readonly Shape[],
  base: number,
  state: I32,
  bounce: I64 | undefined,
  callees: Callees,
): Callee {
  return module.define({ parameters: ["i32", "i64"], results: ["i32"] }, (f) => {
    const [record, address] = f.parameters as [Local<"i32">, Local<"i64">];
    const leave = (status: number): void => f.return(i32.const(status));
    const exits: Exits = {
      next: () => leave(HelperStatus.Next),
      fault: () => leave(HelperStatus.Fault),
      again: () => leave(HelperStatus.Again),
      jump: (rip) => {
        f.store.i64(state, rip, State.Rip);
        leave(HelperStatus.Jump);
      },
      branch: () => {
        throw new Error("a near branch belongs in the main group");
      },
      far: (rip) => exits.jump(rip),
      help: () => {
        f.store.i64(state, address.get, State.OperandAddress);
        f.return(call<"i32">(callees.help, record.get));
      },
      beforeCall: () => undefined,
      afterWrite: () => undefined,
    };
    const place = { f, state, record: record.get, operandAddress: address, bounce };
    const bodies = shapes.map((shape) => () => {
      f.scope(() => {
        const context = new HandlerContext(shape, place, callees, exits);
        descriptions[shape.name]?.describe(context);
      });
      exits.next();
    });
    const index = i32.sub(i32.load16_u(record.get, Record.Handler), i32.const(base));
    dispatch(f, index, bodies, () => f.unreachable());
    f.unreachable();
  });
}

interface Group {
  readonly base: number;
  readonly callee: Callee;
}

function defineRun(
  module: ModuleBuilder,
  shapes: readonly Shape[],
  groups: readonly Group[],
  stateGlobal: I32,
  bounce: I64 | undefined,
  callees: Callees,
  imports: { find: Callee; refresh: Callee; hot: Callee },
  regionType: number,
): void {
  module.define(
    { parameters: ["i32"], results: ["i32"] },
    (f) => {
      const left = f.parameters[0] as Local<"i32">;
      const stateLocal = f.local("i32");
      const record = f.local("i32");
      const address = f.local("i64");
      const rip = f.local("i64");
      const status = f.local("i32");
      f.set(stateLocal, stateGlobal);
      const state = stateLocal.get;
      f.set(rip, i64.load(state, State.Rip));

      const saveLeft = (): void => f.store.i32(state, left.get, State.Remaining);
      /** The host makes it zero where interrupts may come in before the next instruction. */
      const loadLeft = (): void => f.set(left, i32.load(state, State.Remaining));
      const here = (): I64 =>
        i64.and(
          i64.add(i64.load(state, State.RipPage), i64.load16_u(record.get, Record.Offset)),
          i64.load(state, State.RipMask),
        );
      const uncount = (): void => f.set(left, i32.add(left.get, i32.const(1)));
      /** Leaves with rip at the current record. */
      const leaveHere = (code: number): void => {
        saveLeft();
        f.store.i64(state, here(), State.Rip);
        f.return(i32.const(code));
      };

      f.loop((lookup) => {
        lookUp(f, state, rip, record, imports.find, () => {
          // The host has put rip and the fault in the state.
          f.store.i32(state, left.get, State.Remaining);
          f.return(i32.const(RunStatus.Fault));
        });
        f.loop((enter) => {
          enterBlock(f, state, record, left, status, imports.hot, regionType, {
            look: () => {
              f.set(rip, i64.load(state, State.Rip));
              f.br(lookup);
            },
            block: () => f.br(enter),
          });
          f.loop((count) => {
            f.set(left, i32.sub(left.get, i32.const(1)));
            f.if(i32.lt_s(left.get, i32.const(0)), () => {
              uncount();
              leaveHere(RunStatus.Budget);
            });
            f.loop((again) => {
              const link = (): void => {
                saveLeft();
                f.set(status, call<"i32">(callees.link, record.get));
                f.if(i32.eqz(status.get), () => f.return(i32.const(RunStatus.Fault)));
              };
              const exits: Exits = {
                next: () => {
                  f.set(record, i32.add(record.get, i32.const(Record.Length)));
                  f.br(count);
                },
                fault: () => {
                  uncount();
                  leaveHere(RunStatus.Fault);
                },
                again: () => f.br(count),
                jump: (target) => {
                  f.set(rip, target);
                  f.br(lookup);
                },
                branch: () => {
                  f.set(status, i32.load(record.get, Record.Link));
                  f.if(i32.eqz(status.get), link);
                  f.set(record, status.get);
                  f.br(enter);
                },
                far: (target) => {
                  f.set(rip, target);
                  f.set(status, i32.load(record.get, Record.Link));
                  f.if(status.get, () => {
                    ifThere(f, state, rip.get, status.get, () => {
                      f.store.i64(state, i64.and(rip.get, i64.const(-4096)), State.RipPage);
                      f.set(record, status.get);
                      f.br(enter);
                    });
                    f.br(lookup);
                  });
                  link();
                  f.set(record, status.get);
                  f.br(enter);
                },
                help: () => {
                  saveLeft();
                  f.store.i64(state, address.get, State.OperandAddress);
                  f.set(status, call<"i32">(callees.help, record.get));
                  loadLeft();
                  afterCall();
                },
                beforeCall: saveLeft,
                afterWrite: loadLeft,
              };
              const afterCall = (): void => {
                f.if(i32.eqz(status.get), () => exits.next());
                f.if(i32.eq(status.get, i32.const(HelperStatus.Fault)), () => exits.fault());
                f.if(i32.eq(status.get, i32.const(HelperStatus.Again)), () => exits.again());
                f.if(i32.eq(status.get, i32.const(HelperStatus.Jump)), () =>
                  exits.jump(i64.load(state, State.Rip)),
                );
                saveLeft();
                f.return(status.get);
              };
              const continueWith = (set: () => void): void => {
                set();
                f.set(record, i32.add(record.get, i32.const(Record.Length)));
                f.br(again);
              };
              const bodies: (() => void)[] = [];
              bodies[Handler.Stale] = () => {
                ifStraddle(f, state, record.get, (known) => {
                  f.set(record, known);
                  f.br(again);
                });
                uncount();
                saveLeft();
                f.set(record, call<"i32">(imports.refresh, record.get));
                f.if(i32.eqz(record.get), () => f.return(i32.const(RunStatus.Fault)));
                f.br(count);
              };
              bodies[Handler.Continue] = () => {
                uncount();
                f.set(status, i32.load(record.get, Record.Link));
                f.if(status.get, () => {
                  f.set(record, status.get);
                  f.br(enter);
                });
                exits.jump(here());
              };
              bodies[Handler.Help] = () => exits.help();
              addressBodies(
                f,
                state,
                record,
                address,
                callees.segment,
                continueWith,
                exits,
              ).forEach((body, handler) => (bodies[handler] = body));
              const place = { f, state, record: record.get, operandAddress: address, bounce };
              for (const shape of shapes) {
                bodies.push(() => {
                  f.scope(() => {
                    const context = new HandlerContext(shape, place, callees, exits);
                    descriptions[shape.name]?.describe(context);
                  });
                  exits.next();
                });
              }
              dispatch(f, i32.load16_u(record.get, Record.Handler), bodies, () => {
                saveLeft();
                const [rare, vector] = groups as [Group, Group];
                const index = i32.load16_u(record.get, Record.Handler);
                f.if(
                  i32.lt_u(index, i32.const(vector.base)),
                  () => f.set(status, call<"i32">(rare.callee, record.get, address.get)),
                  () => f.set(status, call<"i32">(vector.callee, record.get, address.get)),
                );
                loadLeft();
                afterCall();
              });
            });
          });
        });
      });
      f.unreachable();
    },
    "run",
  );
}

/**
 * What is done where a block is entered by a jump: if it was translated, its region runs; if not, it is counted
 * and the host told when it gets hot. Goes on with the record that is to be interpreted.
 */
function enterBlock(
  f: FunctionBuilder,
  state: I32,
  record: Local<"i32">,
  left: Local<"i32">,
  status: Local<"i32">,
  hot: Callee,
  regionType: number,
  exits: { look(): void; block(): void },
): void {
  f.scope(() => {
    const head = f.let(i32.sub(record.get, i32.const(Record.Length)));
    const count = f.let(i32.load(head, Head.Count));
    const increment = (field: number): void =>
      f.store.i32(state, i32.add(i32.load(state, field), i32.const(1)), field);
    f.if(
      i32.ge_s(count, i32.const(0)),
      () => {
        f.store.i32(head, i32.sub(count, i32.const(1)), Head.Count);
        f.if(i32.eqz(count), () => {
          f.call(hot, record.get);
          exits.block();
        });
      },
      () => {
        const region = i32.load(head, Head.Region);
        const before = f.let(left.get);
        const entry = i32.load(head, Head.Entry);
        const flags = [
          i32.const(0),
          i64.load(state, State.FlagCarries),
          i64.load(state, State.FlagResult),
        ];
        f.store.i32(state, i32.const(1), State.InRegion);
        f.set(status, callIndirect("i32", regionType, region, before, entry, ...flags));
        f.store.i32(state, i32.const(0), State.InRegion);
        f.set(left, i32.load(state, State.Remaining));
        const done = i64.extend_i32_u(i32.sub(before, left.get));
        const total = i64.load(state, State.RegionInstructions);
        f.store.i64(state, i64.add(total, done), State.RegionInstructions);
        increment(State.RegionEntries);
        f.if(i32.eqz(status.get), () => {
          increment(State.ExitsToAddress);
          exits.look();
        });
        f.set(record, i32.and(status.get, i32.const(-2)));
        f.if(i32.and(status.get, i32.const(RegionExit.Block)), () => {
          increment(State.ExitsToBlock);
          exits.block();
        });
        increment(State.ExitsToInstruction);
      },
    );
  });
}

/**
 * Finds the record of the instruction at `rip` through the TLB (its page may be executed) and the jump table
 * (its bytes were decoded), or asks the host.
 */
function lookUp(
  f: FunctionBuilder,
  state: I32,
  rip: Local<"i64">,
  record: Local<"i32">,
  find: Callee,
  failed: () => void,
): void {
  f.scope(() => {
    const linear = f.let(i64.add(rip.get, i64.load(state, State.CodeBase)));
    f.block((done) => {
      findRecord(f, state, linear, (found) => {
        f.set(record, found);
        const inPage = i64.and(linear, i64.const(4095));
        f.store.i64(state, i64.sub(rip.get, inPage), State.RipPage);
        f.br(done);
      });
      f.set(
        record,
        call<"i32">(find, i32.wrap_i64(rip.get), i32.wrap_i64(i64.shr_u(rip.get, i64.const(32)))),
      );
      f.if(i32.eqz(record.get), failed);
    });
  });
}

/** What is done where the first record of a block is that of the code at an address: another page may have come there. */
function ifThere(f: FunctionBuilder, state: I32, rip: I64, record: I32, then: () => void): void {
  f.scope(() => {
    const entry = f.let(tlbEntryOf(i32.load(state, State.Tlb), rip));
    ifCode(f, rip, entry, (place) => {
      const head = f.let(i32.sub(record, i32.const(Record.Length)));
      const low = i32.load(head, Head.Offset);
      const same =
        place.type === "i64"
          ? i64.eq(
              place,
              i64.or(
                i64.shl(i64.load32_u(head, Head.OffsetHigh), i64.const(32)),
                i64.extend_i32_u(low),
              ),
            )
          : i32.eq(place, low);
      f.if(likely(same), then);
    });
  });
}

/**
 * Goes on with the record of an instruction in two pages that the host found for the one that stands for it in its block, if
 * the second page is still where it was and the bytes are as they were.
 */
function ifStraddle(f: FunctionBuilder, state: I32, record: I32, then: (known: I32) => void): void {
  f.scope(() => {
    const isStraddle = i32.eq(i32.load16_u(record, Record.Entry), i32.const(PseudoEntry.Straddle));
    const known = f.let(i32.load(record, Record.Link));
    f.if(i32.and(isStraddle, i32.ne(known, i32.const(0))), () => {
      const next = f.let(i64.add(i64.load(state, State.RipPage), i64.const(4096)));
      const entry = f.let(tlbEntryOf(i32.load(state, State.Tlb), next));
      ifCode(f, next, entry, (place) => {
        const there =
          place.type === "i64"
            ? i64.eq(place, i64.load(record, Record.Immediate))
            : i32.eq(place, i32.load(record, Record.Immediate));
        const fresh = i32.ne(i32.load16_u(known, Record.Handler), i32.const(Handler.Stale));
        f.if(i32.and(there, fresh), () => then(known));
      });
    });
  });
}

/** Bodies of the address handlers, by handler number. */
function addressBodies(
  f: FunctionBuilder,
  state: I32,
  record: Local<"i32">,
  address: Local<"i64">,
  segment: Callee,
  continueWith: (set: () => void) => void,
  exits: Exits,
): Map<number, () => void> {
  const r = record.get;
  const displacement = i64.load32_s(r, Record.Displacement);
  const register = (field: number): I64 =>
    i64.load(i32.add(state, i32.load8_u(r, field)), State.Registers);
  const base = register(Record.Base);
  const index = i64.shl(register(Record.Index), i64.load8_u(r, Record.Scale));
  const full = i64.add(i64.add(base, index), displacement);
  const ripRelative = i64.add(i64.load(state, State.RipPage), displacement);
  const segmentField = i32.load8_u(r, Record.Segment);
  const segmentBase = i64.load(i32.add(state, segmentField), State.Segments);
  const narrow = (value: I64): I64 => i64.and(value, i64.const(0xffffffffn));
  const set = (value: I64) => () => continueWith(() => f.set(address, value));
  const checked = (mask: bigint) => () => {
    f.scope(() => {
      exits.beforeCall();
      const access = i32.load8_u(r, Record.Access);
      const bytes = i32.add(i32.and(access, i32.const(0x7f)), i32.const(1));
      const request = i32.or(bytes, i32.shl(i32.and(access, i32.const(0x80)), i32.const(1)));
      const offset = i32.wrap_i64(i64.and(full, i64.const(mask)));
      f.set(address, call<"i64">(segment, segmentField, offset, request));
      f.if(i64.eq(address.get, i64.const(-1)), () => exits.fault());
    });
    continueWith(() => undefined);
  };
  return new Map([
    [Handler.AddressBase, set(i64.add(base, displacement))],
    [Handler.AddressIndex, set(full)],
    [Handler.AddressRip, set(ripRelative)],
    [Handler.AddressSegment, set(i64.add(full, segmentBase))],
    [Handler.Address32, set(narrow(full))],
    [Handler.Address32Segment, set(i64.add(narrow(full), segmentBase))],
    [Handler.AddressRipSegment, set(i64.add(ripRelative, segmentBase))],
    [Handler.AddressAbsolute, set(i64.add(i64.load(r, Record.Immediate), segmentBase))],
    [Handler.AddressLegacy16, checked(0xffffn)],
    [Handler.AddressLegacy32, checked(0xffffffffn)],
    [Handler.Offset16, set(i64.and(full, i64.const(0xffff)))],
    [Handler.AddressRip32, set(i64.add(narrow(ripRelative), segmentBase))],
  ]);
}
