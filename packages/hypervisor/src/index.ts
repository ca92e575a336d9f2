export { emulatorEngine } from "./emulator-engine.ts";
export type {
  Engine,
  EngineBoard,
  EngineExit,
  EngineInstance,
  EngineInterrupt,
  EngineVcpu,
} from "./engine.ts";
export { hypervisorErrors } from "./errors.ts";
export { Machine } from "./machine.ts";
export type { MachineEnd, MachineKernel, MachineOptions, MachineState } from "./machine.ts";
