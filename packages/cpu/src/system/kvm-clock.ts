import type { Core } from "../core.ts";

/**
 * The paravirtual clock that guests of KVM read without leaving guest mode: a page with the relation between
 * time-stamp counter and nanoseconds (Linux, Documentation/virt/kvm/x86/msr.rst).
 */

/** Flags of the system-time page: all processors' counters agree; the guest was stopped since it last looked. */
const ClockFlag = { TscStable: 1, GuestStopped: 2 } as const;

/** Writes the system-time page, if the guest gave one. */
export function updateKvmClock(cpu: Core): void {
  const { kvmSystemTime } = cpu.msr;
  if ((kvmSystemTime & 1n) === 0n) return;
  const address = Number(kvmSystemTime & ~1n);
  const { memory } = cpu.board;
  if (!memory.contains(address, 32)) return;
  const { multiplier, shift } = scale(cpu.features.tscKhz);
  // The version is odd while the page changes; the guest cannot look in between here.
  const version = (memory.readUint32(address) | 1) + 1;
  memory.writeUint32(address, version >>> 0);
  memory.writeUint32(address + 4, 0);
  memory.writeUint64(address + 8, cpu.tsc);
  memory.writeUint64(address + 16, BigInt(Math.floor(cpu.clock.nowNs())));
  memory.writeUint32(address + 24, multiplier);
  memory.writeUint8(address + 28, shift & 0xff);
  memory.writeUint8(address + 29, ClockFlag.TscStable);
}

/** Sets the flag by which a guest learns that it was stopped for a while, if it has a system-time page. */
export function markGuestStopped(cpu: Core): void {
  const { kvmSystemTime } = cpu.msr;
  const address = Number(kvmSystemTime & ~1n);
  const { memory } = cpu.board;
  if ((kvmSystemTime & 1n) === 0n || !memory.contains(address, 32)) return;
  memory.writeUint8(address + 29, memory.readUint8(address + 29) | ClockFlag.GuestStopped);
}

/** Writes the wall-clock page: the time of day at guest time 0. */
export function writeKvmWallClock(cpu: Core): void {
  const address = Number(cpu.msr.kvmWallClock);
  const { memory } = cpu.board;
  if (!memory.contains(address, 12)) return;
  const bootMs = cpu.clock.epochMs() - cpu.clock.nowNs() / 1e6;
  const version = (memory.readUint32(address) | 1) + 1;
  memory.writeUint32(address, version >>> 0);
  memory.writeUint32(address + 4, Math.floor(bootMs / 1000) >>> 0);
  memory.writeUint32(address + 8, Math.floor((bootMs % 1000) * 1e6));
}

/** Nanoseconds = (ticks shifted left by `shift`, or right if negative) × multiplier / 2^32. */
function scale(tscKhz: number): { multiplier: number; shift: number } {
  let shift = 0;
  let hz = tscKhz * 1000;
  while (hz > 2e9) {
    hz /= 2;
    shift--;
  }
  while (hz <= 1e9) {
    hz *= 2;
    shift++;
  }
  return { multiplier: Math.round((1e9 / hz) * 2 ** 32), shift };
}
