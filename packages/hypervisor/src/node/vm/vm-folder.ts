import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { queztlHome } from "@queztl/images/node";
import { hypervisorError } from "../../errors.ts";

const ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** The files of one VM, below `vms/ID` in QUEZTL_HOME (docs/vm-folders.md). */
export class VmFolder {
  readonly id: string;
  readonly path: string;

  /** @throws QZ_HYPERVISOR_OPTIONS for an id that cannot be a folder's name. */
  constructor(home: string, id: string) {
    this.id = checkId(id);
    this.path = join(vmsFolder(home), id);
  }

  /** What the VM was asked to be; written once, before anything else sees the folder. */
  get config(): string {
    return join(this.path, "config.json");
  }

  /** What its monitor last said of it. */
  get state(): string {
    return join(this.path, "state.json");
  }

  get socket(): string {
    return join(this.path, "control.sock");
  }

  /** What the monitor's process wrote to its standard output and error. */
  get log(): string {
    return join(this.path, "monitor.log");
  }

  get console(): string {
    return join(this.path, "console.log");
  }

  /** The folder of a snapshot. @throws QZ_HYPERVISOR_OPTIONS */
  snapshot(name: string): string {
    return join(this.path, "snapshots", checkId(name, "the snapshot's name"));
  }
}

/** The folder with a folder for each VM. */
export function vmsFolder(home: string = queztlHome()): string {
  return join(home, "vms");
}

/** Lower-case letters, digits and hyphens, at most 63. @throws QZ_HYPERVISOR_OPTIONS */
export function checkId(id: string, option = "id"): string {
  if (ID.test(id)) return id;
  const expected = "give up to 63 lower-case letters, digits and hyphens, no hyphen first";
  throw hypervisorError("QZ_HYPERVISOR_OPTIONS", { option, value: id, expected });
}

/** The ids of all VMs of a home, in order. */
export async function vmIds(home: string): Promise<string[]> {
  const names = await readdir(vmsFolder(home)).catch(nothingThere<string[]>([]));
  return names.filter((name) => ID.test(name)).sort();
}

/** Replaces a file as a whole: who reads it sees the former content or this. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await writeFile(partial, content, { mode: 0o600 });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** The content of a file; undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch(nothingThere(undefined));
}

/** For `catch`: what is not there is this; other errors stay. */
export function nothingThere<Value>(value: Value): (error: unknown) => Value {
  return (error) => {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return value;
    throw error;
  };
}

/** The system's code of an error, such as ENOENT. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
