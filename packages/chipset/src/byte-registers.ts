import type { BusHandler } from "@queztl/memory";

/** A chip whose registers are one byte each, as every ISA chip's are. */
export interface ByteRegisters {
  readByte(offset: number): number;
  writeByte(offset: number, value: number): void;
}

/** Puts byte registers on a bus: a wider access becomes accesses to successive registers, lowest first. */
export function byteRegisters(chip: ByteRegisters): BusHandler {
  return {
    read(offset, size) {
      let value = 0;
      for (let i = 0; i < size; i++) value += chip.readByte(offset + i) * 2 ** (8 * i);
      return value;
    },
    write(offset, size, value) {
      for (let i = 0; i < size; i++) chip.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
    },
  };
}
