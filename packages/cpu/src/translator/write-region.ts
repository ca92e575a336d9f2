import { Handler } from "../interpreter/handlers.ts";
import { isAt, placeOf } from "../paging/place.ts";
import { descriptions } from "../semantics/descriptions.ts";
import { Segment, SegmentField, State, TlbEntry } from "../state/layout.ts";
import { Record } from "../state/record.ts";
import { RegionExit } from "../state/status.ts";
import { call, i32, i64 } from "../wasm/index.ts";
import type { Callee, FunctionBuilder, I32, I64, Label, Local, Place } from "../wasm/index.ts";
import type { Block, Region, Step, Target } from "./collect-region.ts";
import { RegionContext } from "./region-context.ts";
import type { RegionExits, RegionFrame } from "./region-context.ts";
import { RegionFlags } from "./region-flags.ts";

/** What the functions of a module share. */
export interface RegionModule {
  readonly view: DataView;
  /** Offset of the vCPU's state. */
  readonly state: I32;
  /** `defineCarries`. */
  readonly carries: Callee;
}

/** Return addresses that a RET compares with. */
const MOST_RETURNS = 6;

/** Writes a region's function. */
export function writeRegion(f: FunctionBuilder, region: Region, module: RegionModule): void {
  const { view } = module;
  const left = f.parameters[0] as Local<"i32">;
  const next = f.parameters[1] as Local<"i32">;
  const stateLocal = f.local("i32");
  const tlb = f.local("i32");
  const ripPage = f.local("i64");
  const state = module.state.constant === undefined ? stateLocal.get : module.state;
  const registers = Array.from({ length: 16 }, () => f.local("i64"));
  const used = new Set<number>();
  const flags = new RegionFlags(f, module.carries);
  const frame: RegionFrame = {
    f,
    state,
    tlb,
    ripPage,
    flags,
    register(number) {
      used.add(number);
      return registers[number] as Local<"i64">;
    },
  };

  const { locals } = flags;
  const answer = f.local("i32");
  const givenBack = f.local("i32");
  let out: Label | undefined;
  /** Leaves; `unexecuted` instructions of the block's count are given back. */
  const leave = (exit: number, unexecuted: number): void => {
    f.set(answer, i32.const(exit));
    f.set(givenBack, i32.const(unexecuted));
    f.br(out as Label);
  };
  const leaveTo = (rip: I64, unexecuted: number): void => {
    f.store.i64(state, rip, State.Rip);
    leave(RegionExit.Look, unexecuted);
  };
  const ripOf = (inPage: number): I64 => i64.add(ripPage.get, i64.const(inPage));
  const index = new Map(region.blocks.map((block, i) => [block.offset, i]));
  const returns = returnPoints(region, index);

  f.block((leaving) => {
    out = leaving;
    f.loop((again) => {
      const labels: Label[] = [];
      /** Goes on with a block: those behind are reached directly, those before through the loop. */
      const goTo = (block: number, from: number): void => {
        if (block > from) f.br(labels[block] as Label);
        else {
          f.set(next, i32.const(block));
          f.br(again);
        }
      };
      const enterPage = (rip: I64): void => {
        f.set(ripPage, i64.and(rip, i64.const(-4096)));
        f.store.i64(state, ripPage.get, State.RipPage);
      };
      /** What a linear address of code is in the memory; 0 if the TLB does not say. */
      const locate = (rip: I64): Place => {
        const entry = f.let(
          i32.add(tlb.get, i32.and(i32.wrap_i64(i64.shr_u(rip, i64.const(7))), i32.const(0x1ffe0))),
        );
        const offset = f.local<"i32" | "i64">(f.wide ? "i64" : "i32");
        f.set(offset, f.wide ? i64.const(0) : i32.const(0));
        f.if(i64.eq(i64.load(entry, TlbEntry.Execute), i64.and(rip, i64.const(-4096))), () =>
          f.set(offset, placeOf(f, rip, entry)),
        );
        return offset.get;
      };
      const follow = (
        target: Target | undefined,
        rip: () => I64,
        from: number,
        unexecuted: number,
      ): void => {
        const block = target === undefined ? undefined : index.get(target.offset);
        const record = target && region.mode.records.get(target.offset);
        if (target === undefined || (block === undefined && record === undefined)) {
          leaveTo(rip(), unexecuted);
          return;
        }
        const go = (): void => {
          if (block === undefined) {
            leave((record as number) | RegionExit.Block, unexecuted);
            return;
          }
          if (unexecuted !== 0) f.set(left, i32.add(left.get, i32.const(unexecuted)));
          goTo(block, from);
        };
        if (!target.crosses) {
          go();
          return;
        }
        const to = f.let(rip());
        f.if(isAt(locate(to), target.offset), () => {
          enterPage(to);
          go();
        });
        leaveTo(to, unexecuted);
      };
      /** A return to a call of this region, and a jump to one of its blocks, stay in it. */
      const jumpTo = (rip: I64, blocks: readonly number[], from: number): void => {
        if (blocks.length === 0) {
          leaveTo(rip, 0);
          return;
        }
        const to = f.let(rip);
        const offset = locate(to);
        for (const block of blocks) {
          f.if(isAt(offset, (region.blocks[block] as Block).offset), () => {
            enterPage(to);
            goTo(block, from);
          });
        }
        leaveTo(to, 0);
      };

      const bodies = region.blocks.map((block, from) => () => {
        const count = block.steps.length;
        flags.known = undefined;
        f.set(left, i32.sub(left.get, i32.const(count)));
        f.if(i32.lt_s(left.get, i32.const(0)), () => leave(block.record, count));
        block.steps.forEach((step, i) => {
          const rest = count - i;
          const repeats = step.shape.repeat !== "";
          const whole = (round: Label | undefined): void =>
            f.block((end) => {
              const interpret = (): void => leave(step.addressRecord || step.record, rest);
              const exits: RegionExits = {
                done: () => f.br(end),
                interpret,
                again: () => {
                  // Each round counts as an instruction.
                  f.set(left, i32.sub(left.get, i32.const(1)));
                  f.if(i32.lt_s(left.get, i32.const(0)), interpret);
                  f.br(round as Label);
                },
                jump: (rip) => {
                  const guesses = step.guesses.map((offset) => index.get(offset));
                  const known = guesses.filter((block) => block !== undefined);
                  jumpTo(rip, step.shape.name === "ret" ? returns : known, from);
                },
                branch: () => follow(step.target, () => context.targetRip(), from, rest - 1),
              };
              const address = f.let(addressOf(view, frame, step));
              const { shape, record } = step;
              const context = new RegionContext(shape, frame, view, record, address, exits);
              descriptions[shape.name]?.describe(context);
              context.finish();
            });
          f.scope(() => {
            if (repeats) {
              flags.known = undefined;
              f.loop(whole);
              flags.known = undefined;
            } else whole(undefined);
          });
        });
        const { end } = block;
        f.scope(() => {
          if (end.kind === "next") {
            const block = end.target?.crosses === false ? index.get(end.target.offset) : undefined;
            if (block !== from + 1) follow(end.target, () => ripOf(end.inPage), from, 0);
          } else if (end.kind === "interpret") leave(end.record, 0);
          else f.unreachable();
        });
      });
      dispatchBlocks(f, next.get, bodies, labels);
    });
    f.unreachable();
  });
  const { kind, a, b, result } = locals;
  f.store.i64(state, result.get, State.FlagResult);
  const carries = call<"i64">(module.carries, kind.get, a.get, b.get, result.get);
  f.store.i64(state, carries, State.FlagCarries);
  f.store.i32(state, i32.add(left.get, givenBack.get), State.Remaining);
  f.return(answer.get);

  f.prologue(() => {
    if (module.state.constant === undefined) f.set(stateLocal, module.state);
    f.set(tlb, i32.load(state, State.Tlb));
    f.set(ripPage, i64.load(state, State.RipPage));
    for (const number of used) {
      f.set(registers[number] as Local<"i64">, i64.load(state, State.Registers + number * 8));
    }
    flags.load(state);
  });
}

/** The blocks that calls of the region return to. */
function returnPoints(region: Region, index: ReadonlyMap<number, number>): number[] {
  const found = new Set<number>();
  for (const { steps, page } of region.blocks) {
    const last = steps.at(-1);
    if (last?.shape.name !== "call") continue;
    const block = index.get(page + last.inPage + last.length);
    if (block !== undefined) found.add(block);
  }
  return [...found].slice(0, MOST_RETURNS);
}

/** Nested blocks, the last body's outermost: branching to label i continues with body i, then with the ones behind. */
function dispatchBlocks(
  f: FunctionBuilder,
  index: I32,
  bodies: readonly (() => void)[],
  labels: Label[],
): void {
  const nest = (body: number): void => {
    if (body < 0) {
      f.brTable(index, labels.slice(0, -1), labels.at(-1) as Label);
      return;
    }
    f.block((label) => {
      labels[body] = label;
      nest(body - 1);
    });
    (bodies[body] as () => void)();
  };
  nest(bodies.length - 1);
}

/** The address that an instruction's address record describes. */
function addressOf(view: DataView, frame: RegionFrame, step: Step): I64 {
  const { addressRecord: record, addressHandler: handler } = step;
  if (record === 0) return i64.const(0);
  const displacement = view.getInt32(record + Record.Displacement, true);
  const register = (field: number): I64 | undefined => {
    const offset = view.getUint8(record + field);
    return offset === State.Zero ? undefined : frame.register(offset >> 3).get;
  };
  const base = register(Record.Base);
  const indexed = register(Record.Index);
  const scale = view.getUint8(record + Record.Scale);
  const shifted =
    indexed === undefined || scale === 0 ? indexed : i64.shl(indexed, i64.const(scale));
  const parts = [base, shifted].filter((part) => part !== undefined);
  if (displacement !== 0 || parts.length === 0) parts.push(i64.const(displacement));
  const full = parts.reduce((all, part) => i64.add(all, part));
  const segment = view.getUint8(record + Record.Segment);
  const inSegment = (offset: I64): I64 =>
    segment === Segment.Null * SegmentField.Length
      ? offset
      : i64.add(offset, i64.load(frame.state, State.Segments + segment));
  const narrow = (value: I64): I64 => i64.and(value, i64.const(0xffffffffn));
  const rip = i64.add(frame.ripPage.get, i64.const(displacement));
  switch (handler) {
    case Handler.AddressBase:
    case Handler.AddressIndex:
      return full;
    case Handler.AddressRip:
      return rip;
    case Handler.AddressSegment:
      return inSegment(full);
    case Handler.Address32:
      return narrow(full);
    case Handler.Address32Segment:
      return inSegment(narrow(full));
    case Handler.AddressRipSegment:
      return inSegment(rip);
    case Handler.AddressAbsolute:
      return inSegment(i64.const(view.getBigInt64(record + Record.Immediate, true)));
    case Handler.AddressRip32:
      return inSegment(narrow(rip));
    default:
      throw new Error(`address handler ${handler} has no place in 64-bit code`);
  }
}
