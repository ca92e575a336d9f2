import type { OutputOf } from "@queztl/api";

export type {
  ApiEvent,
  ClusterNode,
  Explanation,
  Image,
  LogChunk,
  Setting,
  Snapshot,
  StoredFile,
  Task,
  TaskSummary,
  Token,
  Vm,
} from "@queztl/api";

/** What a VM uses. */
export type VmStats = OutputOf<"vm.stats">;
/** How a program in a guest ended. */
export type ExecResult = OutputOf<"vm.exec">;
/** A file that a task has left. */
export type ResultFile = OutputOf<"task.files">["items"][number];
/** How the brain is doing. */
export type BrainStatus = OutputOf<"brain.status">;
/** What is known of one kind of task. */
export type FamilyKnowledge = OutputOf<"brain.knowledge">["items"][number];
/** What the optimisation cycle has found and done. */
export type Optimisation = OutputOf<"brain.optimize">;
/** How the whole is doing. */
export type Stats = OutputOf<"stats.get">;
/** A new token with its secret. */
export type CreatedToken = OutputOf<"token.create">;
