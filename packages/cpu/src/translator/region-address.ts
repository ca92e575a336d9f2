import { Handler } from "../interpreter/handlers.ts";
import { Segment, SegmentField, State } from "../state/layout.ts";
import { Record } from "../state/record.ts";
import { i64 } from "../wasm/index.ts";
import type { I64 } from "../wasm/index.ts";
import type { Step } from "./collect-region.ts";
import { cut, narrowAddress } from "./narrow-address.ts";
import type { RegionFrame } from "./region-context.ts";

/**
 * The address that an instruction's address record describes.
 * @param interpret leaves the instruction to the interpreter.
 */
export function addressOf(
  view: DataView,
  frame: RegionFrame,
  step: Step,
  interpret: () => void,
): I64 {
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
  const narrow = (value: I64): I64 =>
    frame.narrow ? cut(value) : i64.and(value, i64.const(0xffffffffn));
  const checked = (offset: I64): I64 => {
    const access = view.getUint8(record + Record.Access);
    const bytes = (access & 0x7f) + 1;
    return narrowAddress(frame, segment, offset, { bytes, write: access > 0x7f }, interpret);
  };
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
    case Handler.AddressLegacy32:
      return checked(cut(full));
    case Handler.AddressLegacy16:
      return checked(i64.and(full, i64.const(0xffff)));
    case Handler.Offset16:
      return i64.and(full, i64.const(0xffff));
    default:
      throw new Error(`there is no address handler ${handler}`);
  }
}
