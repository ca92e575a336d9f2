/**
 * A monitor for virtio-kill.boot.ts: goes on from a snapshot, tells the guest's writer to begin, and prints what
 * the guest acknowledges: `virtio-kill-monitor.ts SNAPSHOT ROOT raw|qcow2 DISK FIRST`.
 */
import { writeSync } from "node:fs";
import { Qcow2Disk, RawDisk } from "@queztl/virtio";
import { NodeFile } from "@queztl/virtio/node";
import { restoreMachine } from "../src/node/snapshot-folder.ts";
import { VirtioDevices } from "./virtio-devices.ts";

const [folder = "", root = "", format = "", path = "", first = ""] = process.argv.slice(2);
const file = await NodeFile.open(path);
const scratch = format === "qcow2" ? await Qcow2Disk.open(file) : await RawDisk.open(file);
const devices = new VirtioDevices(root, {
  scratch,
  // Synchronous: what the guest said is out of this process before the guest goes on.
  onTerminal: (bytes) => void writeSync(1, bytes),
});
// The kernel is needed for a reset only.
const kernel = new Uint8Array(0);
const machine = await restoreMachine(folder, { kernel, devices: devices.factories });
machine.start();
devices.console.ports[0]?.write(Buffer.from(`go ${first}\n`));
const end = await machine.ended;
console.error(`the machine ended: ${end.reason}`);
process.exitCode = 1;
