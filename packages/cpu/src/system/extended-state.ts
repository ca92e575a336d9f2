import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { Register, State } from "../state/layout.ts";
import { loadLegacyArea, storeLegacyArea } from "../x87/environment.ts";
import { initialize } from "../x87/registers.ts";
import { Cr4 } from "./control-registers.ts";

const LEGACY_BYTES = 512;
const HEADER_BYTES = 64;
const XSAVE_BYTES = LEGACY_BYTES + HEADER_BYTES;
const MXCSR_MASK = 0xffff;
const X87 = 1n;
const SSE = 2n;

/** XMM registers that the current mode can name. */
const vectorCount = (cpu: Core): number => (cpu.linear.long ? 16 : 8);

function storeVectors(cpu: Core, image: Uint8Array): void {
  const at = cpu.state + State.Xmm;
  image.set(cpu.board.memory.arena.bytes.subarray(at, at + vectorCount(cpu) * 16), 160);
}

function loadVectors(cpu: Core, image: Uint8Array): void {
  cpu.board.memory.arena.bytes.set(
    image.subarray(160, 160 + vectorCount(cpu) * 16),
    cpu.state + State.Xmm,
  );
}

function setMxcsr(cpu: Core, value: number): void {
  if ((value & ~MXCSR_MASK) !== 0) raise(Vector.GeneralProtection, 0);
  cpu.setU32(State.Mxcsr, value);
}

function checkFx(cpu: Core, op: MicroOp): void {
  if ((cpu.u32(State.Cr0) & 12) !== 0) raise(Vector.NoDevice);
  if ((op.address & 15n) !== 0n) raise(Vector.GeneralProtection, 0);
}

function fxsave(cpu: Core, op: MicroOp): void {
  checkFx(cpu, op);
  // Bytes 416–511 are not touched.
  const image = new Uint8Array(416);
  const view = new DataView(image.buffer);
  cpu.linear.readInto(op.address, image);
  storeLegacyArea(cpu.x87.registers, view, { wide: op.operandSize === 64 });
  view.setUint32(24, cpu.u32(State.Mxcsr), true);
  view.setUint32(28, MXCSR_MASK, true);
  storeVectors(cpu, image);
  cpu.linear.writeFrom(op.address, image);
}

function fxrstor(cpu: Core, op: MicroOp): void {
  checkFx(cpu, op);
  const image = new Uint8Array(416);
  const view = new DataView(image.buffer);
  cpu.linear.readInto(op.address, image);
  setMxcsr(cpu, view.getUint32(24, true));
  loadLegacyArea(cpu.x87.registers, view, { wide: op.operandSize === 64 });
  loadVectors(cpu, image);
}

function requested(cpu: Core): bigint {
  const { registers } = cpu;
  const low = (registers[Register.Rax] as bigint) & 0xffffffffn;
  const high = (registers[Register.Rdx] as bigint) & 0xffffffffn;
  return ((high << 32n) | low) & cpu.u64(State.Xcr0);
}

function checkX(cpu: Core, op: MicroOp): void {
  if ((cpu.u32(State.Cr4) & Cr4.Osxsave) === 0) raise(Vector.InvalidOpcode);
  if ((cpu.u32(State.Cr0) & 8) !== 0) raise(Vector.NoDevice);
  if ((op.address & 63n) !== 0n) raise(Vector.GeneralProtection, 0);
}

/** XSAVE and XSAVEOPT; both components count as in use always (Intel SDM vol. 1, 13.7). */
function xsave(cpu: Core, op: MicroOp): void {
  checkX(cpu, op);
  const wide = op.operandSize === 64;
  const place = cpu.linear.writableAt(op.address, XSAVE_BYTES);
  if (place >= 0) {
    storeExtended(cpu, new Uint8Array(cpu.board.memory.bytes.buffer, place, XSAVE_BYTES), wide);
    return;
  }
  const image = new Uint8Array(XSAVE_BYTES);
  cpu.linear.checkWritable(op.address, image.length);
  cpu.linear.readInto(op.address, image);
  storeExtended(cpu, image, wide);
  cpu.linear.writeFrom(op.address, image);
}

function storeExtended(cpu: Core, image: Uint8Array, wide: boolean): void {
  const mask = requested(cpu);
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (mask & X87) storeLegacyArea(cpu.x87.registers, view, { wide });
  if (mask & SSE) {
    view.setUint32(24, cpu.u32(State.Mxcsr), true);
    view.setUint32(28, MXCSR_MASK, true);
    storeVectors(cpu, image);
  }
  view.setBigUint64(LEGACY_BYTES, view.getBigUint64(LEGACY_BYTES, true) | mask, true);
}

function xrstor(cpu: Core, op: MicroOp): void {
  checkX(cpu, op);
  const mask = requested(cpu);
  const image = new Uint8Array(XSAVE_BYTES);
  const view = new DataView(image.buffer);
  cpu.linear.readInto(op.address, image);
  const present = view.getBigUint64(LEGACY_BYTES, true);
  const compacted = view.getBigUint64(LEGACY_BYTES + 8, true);
  const reserved = view.getBigUint64(LEGACY_BYTES + 16, true);
  if (present & ~cpu.u64(State.Xcr0) || compacted !== 0n || reserved !== 0n) {
    raise(Vector.GeneralProtection, 0);
  }
  if (mask & SSE) setMxcsr(cpu, view.getUint32(24, true));
  if (mask & X87) {
    if (present & X87) {
      loadLegacyArea(cpu.x87.registers, view, { wide: op.operandSize === 64 });
    } else {
      initialize(cpu.x87.registers);
      cpu.x87.registers.registers.fill(0n);
    }
  }
  if (mask & SSE) {
    if (present & SSE) loadVectors(cpu, image);
    else {
      const at = cpu.state + State.Xmm;
      cpu.board.memory.arena.bytes.fill(0, at, at + vectorCount(cpu) * 16);
    }
  }
}

/** Saving and restoring of x87 and SSE state (Intel SDM vol. 1, 10.5 and 13). */
export const extendedStateHelpers: Helpers = { fxsave, fxrstor, xsave, xsaveopt: xsave, xrstor };
