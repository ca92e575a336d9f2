/**
 * Boots the default image under QEMU's emulator, as an independent check of what this package builds, and
 * prints when the guest reached which point, in seconds since QEMU was started.
 *
 *     node --conditions=@queztl/source bench/boot-in-qemu.ts [cloud|generic] [vmlinux|bzImage] [--log]
 */
import { spawn } from "node:child_process";
import { INIT_LINE, READY_LINE, flavours } from "@queztl/images";
import { buildImage } from "@queztl/images/node";

const [flavour = "cloud", kernel = "vmlinux", log] = process.argv.slice(2);
const known = Object.hasOwn(flavours, flavour) && (kernel === "vmlinux" || kernel === "bzImage");
if (!known) throw new Error("usage: boot-in-qemu.ts [cloud|generic] [vmlinux|bzImage] [--log]");

const image = await buildImage({ flavour: flavour as keyof typeof flavours });
const path = kernel === "bzImage" ? image.bzImage.path : image.kernel.path;
const start = performance.now();
const machine =
  "-accel tcg -cpu max -m 512 -nographic -no-reboot -nic user,model=virtio-net-pci -device virtio-rng-pci";
const boot = ["-kernel", path, "-initrd", image.initramfs.path, "-append", "console=ttyS0"];
const qemu = spawn("qemu-system-x86_64", [...machine.split(" "), ...boot], {
  stdio: ["pipe", "pipe", "inherit"],
});
const giveUp = setTimeout(() => qemu.kill(), 120_000);

const marks = ["Linux version", INIT_LINE, READY_LINE, "reboot: Power down"];
const times: Record<string, number> = {};
let output = "";
for await (const chunk of qemu.stdout) {
  output += String(chunk);
  for (const mark of marks) {
    if (times[mark] !== undefined || !output.includes(mark)) continue;
    times[mark] = Math.round((performance.now() - start) / 10) / 100;
    // The shell reads this when it comes up, and with the shell the machine ends.
    if (mark === READY_LINE) qemu.stdin.write("exit\n");
  }
}
clearTimeout(giveUp);
if (log) process.stdout.write(output);
console.log(JSON.stringify({ release: image.release, kernel, seconds: times }));
process.exitCode = times["reboot: Power down"] === undefined ? 1 : 0;
