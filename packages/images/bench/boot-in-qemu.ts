/**
 * Boots an image under QEMU's emulator, as an independent check of what this package builds, and prints
 * when the guest reached which point, in seconds since QEMU was started. Commands are typed at the guest's
 * shell. The disk stays as it is: QEMU writes to an overlay.
 *
 *     node --conditions=@queztl/source bench/boot-in-qemu.ts [image] [vmlinux|bzImage] [--log] [command…]
 */
import { spawn } from "node:child_process";
import { INIT_LINE, READY_LINE } from "@queztl/images";
import { openImage } from "@queztl/images/node";

const words = process.argv.slice(2);
const log = words.includes("--log");
const [name = "base", kernel = "vmlinux", ...commands] = words.filter((word) => word !== "--log");

const image = await openImage(name);
const path = kernel === "bzImage" ? image.bzImage.path : image.kernel.path;
const start = performance.now();
const machine =
  "-accel tcg -cpu max -m 1024 -nographic -no-reboot -nic user,model=virtio-net-pci -device virtio-rng-pci";
const disk = image.disk
  ? ["-drive", `file=${image.disk.path},format=raw,if=virtio,snapshot=on`]
  : [];
const append = `console=ttyS0 ${image.commandLine}`;
const boot = ["-kernel", path, "-initrd", image.initramfs.path, "-append", append];
const qemu = spawn("qemu-system-x86_64", [...machine.split(" "), ...disk, ...boot], {
  stdio: ["pipe", "pipe", "inherit"],
});
const giveUp = setTimeout(() => qemu.kill(), 300_000);

const DONE = "queztl-bench: done";
const marks = ["Linux version", INIT_LINE, READY_LINE, DONE, "reboot: Power down"];
const times: Record<string, number> = {};
let output = "";
for await (const chunk of qemu.stdout) {
  output += String(chunk);
  for (const mark of marks) {
    if (times[mark] !== undefined || !output.includes(mark)) continue;
    times[mark] = Math.round((performance.now() - start) / 10) / 100;
    // The shell reads this when it comes up, and with the shell the machine ends. The quotes keep the
    // terminal's echo from being taken for the mark.
    if (mark !== READY_LINE) continue;
    qemu.stdin.write([...commands, 'echo "queztl-"bench: done', "exit", ""].join("\n"));
  }
}
clearTimeout(giveUp);
if (log) process.stdout.write(output);
else if (commands.length > 0) console.log(output.slice(output.indexOf(READY_LINE)));
console.log(JSON.stringify({ name, release: image.release, kernel, seconds: times }));
process.exitCode = times["reboot: Power down"] === undefined ? 1 : 0;
