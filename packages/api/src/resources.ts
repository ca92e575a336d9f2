import type { OutputOf } from "./operations/shapes.ts";

/** A virtual machine, as `vm.get` answers it. */
export type Vm = OutputOf<"vm.get">;
/** The whole state of a VM at one moment, as `vm.snapshot` answers it. */
export type Snapshot = OutputOf<"vm.snapshot">;
/** Permission to open one WebSocket, from `vm.console` and `vm.openExec`. */
export type ConsoleGrant = OutputOf<"vm.console">;
/** Work to be done in a VM of its own, as `task.get` answers it. */
export type Task = OutputOf<"task.get">;
/** A task as `task.list` shows it. */
export type TaskSummary = OutputOf<"task.list">["items"][number];
/** A piece of a log, as `vm.followLogs` and `task.followLogs` tell it. */
export type LogChunk = OutputOf<"task.followLogs">;
/** A decision of the brain with its reasons, as `brain.explain` answers it. */
export type Explanation = OutputOf<"brain.explain">;
/** A computer that VMs run on, as `node.get` answers it. */
export type ClusterNode = OutputOf<"node.get">;
/** What a VM starts from, as `image.get` answers it. */
export type Image = OutputOf<"image.get">;
/** A file on its way to or from the server, as `file.get` answers it. */
export type StoredFile = OutputOf<"file.get">;
/** A setting of the server, as `config.set` answers it. */
export type Setting = OutputOf<"config.set">;
/** A token without its secret, as `token.list` shows it. */
export type Token = OutputOf<"token.revoke">;
