/**
 * `node v86-machine.ts BZIMAGE INITRD COMMANDLINE MIB`: a machine of v86's with its serial port at standard input and output, as
 * the other emulators have theirs.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { importPeer, peerEntry } from "./peers.ts";

/** Where Debian's package `seabios` has the BIOS of a PC, and that of its display adapter. */
const BIOS = "/usr/share/seabios/bios.bin";
const VGA_BIOS = "/usr/share/seabios/vgabios-stdvga.bin";
const MIB = 2 ** 20;

/** What is used here of v86's interface. */
interface V86Machine {
  add_listener(event: "serial0-output-byte", listener: (byte: number) => void): void;
  serial_send_bytes(serial: number, bytes: Uint8Array): void;
}
type V86Constructor = new (options: Readonly<Record<string, unknown>>) => V86Machine;

const [bzImage = "", initrd = "", cmdline = "", mib = ""] = process.argv.slice(2);
const image = (path: string) => ({ buffer: new Uint8Array(readFileSync(path)).buffer });

const { V86 } = (await importPeer("v86")) as unknown as { V86: V86Constructor };
const machine = new V86({
  wasm_path: join(dirname(peerEntry("v86")), "v86.wasm"),
  bios: image(BIOS),
  vga_bios: image(VGA_BIOS),
  bzimage: image(bzImage),
  initrd: image(initrd),
  cmdline,
  memory_size: Number(mib) * MIB,
  acpi: true,
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
});

let pending: number[] = [];
machine.add_listener("serial0-output-byte", (byte) => {
  if (pending.length === 0) {
    setImmediate(() => {
      process.stdout.write(Uint8Array.from(pending));
      pending = [];
    });
  }
  pending.push(byte);
});
process.stdin.on("data", (bytes: Buffer) => machine.serial_send_bytes(0, bytes));
