export { emulatorEngine } from "./emulator-engine.ts";
export type {
  Engine,
  EngineBoard,
  EngineExit,
  EngineInstance,
  EngineInterrupt,
  EngineVcpu,
  ProcessorsState,
} from "./engine.ts";
export { hypervisorErrors } from "./errors.ts";
export { Machine } from "./machine.ts";
export type { MachineStatistics } from "./machine.ts";
export type { MachineEnd, MachineState } from "./machine-end.ts";
export type {
  DeviceFactory,
  DeviceHost,
  MachineEvents,
  MachineKernel,
  MachineOptions,
  MachineShape,
  MachineSurroundings,
} from "./machine-options.ts";
export { decodeSnapshot, encodeSnapshot } from "./machine-snapshot.ts";
export type { MachineSnapshot } from "./machine-snapshot.ts";
export type { BoardState } from "./board.ts";
export type { TimeState } from "./machine-time.ts";
export type { ExitCounts } from "./run-loop.ts";
export type { SerialLine } from "./serial-line.ts";
