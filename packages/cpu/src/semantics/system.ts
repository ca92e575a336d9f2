import {
  Flag,
  Register,
  STATUS_FLAGS,
  Segment,
  SegmentCheck,
  SegmentField,
  State,
} from "../state/layout.ts";
import { i32, i64, unlikely } from "../wasm/index.ts";
import type { I32, I64 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { loadStatusFlags, statusFlags } from "./flags.ts";
import { toI64 } from "./integer-ops.ts";

const R11 = 11;
const EFER_SCE = 1;
const CR4_FSGSBASE = 0x10000;
/** Present, code or data, accessed; with the L bit, or the D/B bit, and 4 KiB granularity. */
const CODE64 = 0x80 | 0x10 | 0xb | 0x800 | 0x200;
const DATA = 0x80 | 0x10 | 0x3 | 0x800 | 0x400;
const FLAT = -1;
/** Flags that ask for more than a change of privilege. */
const DELICATE = Flag.Tf | Flag.Rf | Flag.Ac;
/** The flags that SYSRET loads, and what RFLAGS keeps of them beside the status flags. */
const LOADED = 0x3c7fd7;
const SYSTEM_FLAGS = LOADED & 0x3f7fd5 & ~STATUS_FLAGS;

const isCanonical = (value: I64): I32 =>
  i64.eq(i64.shr_s(i64.shl(value, i64.const(16)), i64.const(16)), value);

function setFlat(s: InstructionContext, segment: number, selector: I32, cpl: number): void {
  const at = State.Segments + segment * SegmentField.Length;
  const code = segment === Segment.Cs;
  s.setState64(at + SegmentField.Base, i64.const(0));
  s.setState32(at + SegmentField.Limit, i32.const(FLAT));
  s.setState32(at + SegmentField.Selector, selector);
  s.setState32(at + SegmentField.Attributes, i32.const((code ? CODE64 : DATA) | (cpl << 5)));
  const checks = code ? SegmentCheck.Read : SegmentCheck.Read | SegmentCheck.Write;
  s.setState32(at + SegmentField.Checks, i32.const(checks));
}

/** Changes to 64-bit code of a level, with flat segments. */
function enterLevel(s: InstructionContext, cpl: 0 | 3, cs: I32, ss: I32): void {
  const selector = (value: I32): I32 => i32.or(i32.and(value, i32.const(0xfffc)), i32.const(cpl));
  setFlat(s, Segment.Cs, selector(cs), cpl);
  setFlat(s, Segment.Ss, selector(ss), cpl);
  s.setState32(State.Cpl, i32.const(cpl));
  s.setState64(State.StackMask, i64.const(0xffffffff));
  s.setTlb(s.state32(cpl === 3 ? State.TlbUser : State.TlbAcClear));
}

/** A field of IA32_STAR. */
const star = (s: InstructionContext, bit: 32 | 48, more: number): I32 =>
  i32.add(i32.wrap_i64(i64.shr_u(s.state64(State.Star), i64.const(bit))), i32.const(more));

const callsDisabled = (s: InstructionContext): I32 =>
  i32.eqz(i32.and(s.state32(State.Efer), i32.const(EFER_SCE)));

/** A segment's base, in 64-bit mode where CR4 allows it. */
function baseRegister(segment: number, write: boolean): Description {
  const at = State.Segments + segment * SegmentField.Length + SegmentField.Base;
  return {
    group: "rare",
    modal: true,
    describe(s) {
      const allowed = i32.and(s.state32(State.Cr4), i32.const(CR4_FSGSBASE));
      s.f.if(unlikely(i32.eqz(allowed)), () => s.help());
      if (!write) {
        const base = s.state64(at);
        s.set(0, s.shape.size === 64 ? base : i32.wrap_i64(base));
        return;
      }
      const value = s.f.let(toI64(s.get(0)));
      s.f.if(unlikely(i32.eqz(isCanonical(value))), () => s.help());
      s.setState64(at, value);
    },
  };
}

/** CLAC and STAC: only the TLB changes, for alignment is checked in programs alone. */
function setAlignmentFlag(set: boolean): Description {
  return {
    describe(s) {
      s.f.if(unlikely(s.state32(State.Cpl)), () => s.help());
      const flags = s.systemFlags();
      s.setSystemFlags(
        set ? i32.or(flags, i32.const(Flag.Ac)) : i32.and(flags, i32.const(~Flag.Ac)),
      );
      s.setTlb(s.state32(set ? State.TlbAcSet : State.TlbAcClear));
    },
  };
}

/**
 * What system calls are made of, in 64-bit mode (Intel SDM vol. 3, 5.8.8). Whatever is not as usual is left to the
 * helpers of the same names.
 */
export const system: Descriptions = {
  syscall: {
    modal: true,
    describe(s) {
      if (!s.shape.long) {
        s.help();
        return;
      }
      const { f } = s;
      const delicate = i32.and(s.systemFlags(), i32.const(DELICATE));
      f.if(unlikely(i32.or(callsDisabled(s), delicate)), () => s.help());
      const status = f.let(statusFlags(s));
      const flags = f.let(s.systemFlags());
      const kept = f.let(i32.xor(s.state32(State.Fmask), i32.const(-1)));
      s.setRegister(Register.Rcx, 64, s.nextRip());
      s.setRegister(R11, 64, i64.extend_i32_u(i32.or(status, flags)));
      loadStatusFlags(s, f.let(i32.and(status, kept)));
      s.setSystemFlags(i32.or(i32.and(flags, kept), i32.const(Flag.Fixed)));
      enterLevel(s, 0, star(s, 32, 0), star(s, 32, 8));
      s.jump(s.state64(State.Lstar));
    },
  },
  sysret: {
    modal: true,
    describe(s) {
      if (!s.shape.long || s.shape.size !== 64) {
        s.help();
        return;
      }
      const { f } = s;
      const target = f.let(s.register(Register.Rcx));
      const flags = f.let(i32.wrap_i64(s.register(R11)));
      const delicate = i32.and(flags, i32.const(DELICATE));
      const outside = i32.or(s.state32(State.Cpl), i32.eqz(isCanonical(target)));
      const waiting = i32.or(s.state32(State.InterruptWaiting), callsDisabled(s));
      f.if(unlikely(i32.or(i32.or(delicate, outside), waiting)), () => s.help());
      loadStatusFlags(s, flags);
      s.setSystemFlags(i32.or(i32.and(flags, i32.const(SYSTEM_FLAGS)), i32.const(Flag.Fixed)));
      enterLevel(s, 3, star(s, 48, 16), star(s, 48, 8));
      s.jump(target);
    },
  },
  swapgs: {
    modal: true,
    describe(s) {
      if (!s.shape.long) {
        s.help();
        return;
      }
      s.f.if(unlikely(s.state32(State.Cpl)), () => s.help());
      const at = State.Segments + Segment.Gs * SegmentField.Length + SegmentField.Base;
      const base = s.f.let(s.state64(at));
      s.setState64(at, s.state64(State.KernelGsBase));
      s.setState64(State.KernelGsBase, base);
    },
  },
  clac: setAlignmentFlag(false),
  stac: setAlignmentFlag(true),
  rdfsbase: baseRegister(Segment.Fs, false),
  rdgsbase: baseRegister(Segment.Gs, false),
  wrfsbase: baseRegister(Segment.Fs, true),
  wrgsbase: baseRegister(Segment.Gs, true),
};
