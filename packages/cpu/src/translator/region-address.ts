import { Handler } from "../interpreter/handlers.ts";
import { Segment, SegmentField, State } from "../state/layout.ts";
import { Record } from "../state/record.ts";
import { i64 } from "../wasm/index.ts";
import type { I64 } from "../wasm/index.ts";
import type { Step } from "./collect-region.ts";
import type { RegionFrame } from "./region-context.ts";

/** The address that an instruction's address record describes. */
export function addressOf(view: DataView, frame: RegionFrame, step: Step): I64 {
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
  const page = { ...frame.ripPage.get, relative: { to: "rip", by: 0n } };
  const rip = i64.add(page, i64.const(displacement));
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
