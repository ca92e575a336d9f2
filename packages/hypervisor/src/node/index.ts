export { readKernelFiles } from "./host-files.ts";
export { balloon, disk, network } from "./host-devices.ts";
export type {
  DiskArgument,
  ForwardArgument,
  NetworkArgument,
  SwitchArgument,
} from "./device-arguments.ts";
export { SNAPSHOT_FILES, restoreMachine, saveMachine, shareFile } from "./snapshot-folder.ts";
export type { SaveMachineOptions } from "./snapshot-folder.ts";
export type { TemplateRecord } from "./template/template-record.ts";
export { StandbyPool } from "./standby/standby-pool.ts";
export type { StandbyOptions } from "./standby/standby-pool.ts";
export { TEMPLATE_SIZES } from "./template/vm-template.ts";
export { TemplateStore } from "./template/template-store.ts";
export type {
  BuildTemplateOptions,
  PruneOptions,
  Template,
  TemplateProgress,
  TemplateRecipe,
  TemplateSummary,
} from "./template/template-store.ts";
export { copyFromGuest, copyIntoGuest } from "./agent-files.ts";
export type { CopyOutResult } from "./agent-files.ts";
export { socketChannel } from "./socket-channel.ts";
export { Vm } from "./vm/vm.ts";
export type { VmHome } from "./vm/vm.ts";
export { VmConsole } from "./vm/vm-console.ts";
export type { ConsoleOptions } from "./vm/vm-console.ts";
export type { VmSummary } from "./vm/inspect.ts";
export type { ForkOptions } from "./vm/origin.ts";
export type { VmDisk, VmNetwork, VmOptions } from "./vm/vm-options.ts";
export type { VmEnd, VmLimits, VmState } from "./vm/vm-config.ts";
export type { VmEvent, VmStats, VmStatus } from "./vm/protocol.ts";
