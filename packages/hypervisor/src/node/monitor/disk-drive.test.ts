import { MemoryFile, RawDisk } from "@queztl/virtio";
import { expect, test } from "vitest";
import { DiskDrive } from "./disk-drive.ts";

const wrongState = { code: "QZ_HYPERVISOR_VM_STATE" };

test("put in and taken out → the guest is told its size, then of none; what was written is in the file", async () => {
  const drive = new DiskDrive();
  const sizes = [drive.capacity];
  drive.onChange = () => sizes.push(drive.capacity);
  const file = new MemoryFile(8192);
  drive.insert(await RawDisk.open(file));
  await drive.write(512, new Uint8Array(512).fill(7));
  await drive.eject();
  expect(sizes).toEqual([0, 8192, 0]);
  const bytes = new Uint8Array(1);
  await file.read(512, bytes);
  expect(bytes[0]).toBe(7);
});

test("an empty drive → refuses reads, writes and to be emptied, but not a flush; a full one refuses another disk", async () => {
  const drive = new DiskDrive();
  await expect(drive.read(0, new Uint8Array(512))).rejects.toMatchObject(wrongState);
  await expect(drive.write(0, new Uint8Array(512))).rejects.toMatchObject(wrongState);
  await expect(drive.eject()).rejects.toMatchObject(wrongState);
  await drive.flush();
  const disk = await RawDisk.open(new MemoryFile(512));
  drive.insert(disk);
  expect(() => drive.insert(disk)).toThrow(expect.objectContaining(wrongState));
});

test("taken out amid a write → the write is done before the disk is flushed and closed", async () => {
  const steps: string[] = [];
  const disk = await RawDisk.open(new MemoryFile(4096));
  let finish: () => void = () => undefined;
  disk.write = async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    steps.push("written");
  };
  disk.flush = async () => void steps.push("flushed");
  disk.close = async () => void steps.push("closed");
  const drive = new DiskDrive();
  drive.insert(disk);
  const writing = drive.write(0, new Uint8Array(512));
  const ejecting = drive.eject();
  await expect(drive.write(0, new Uint8Array(512))).rejects.toMatchObject(wrongState);
  finish();
  await Promise.all([writing, ejecting]);
  expect(steps).toEqual(["written", "flushed", "closed"]);
});
