export { createEmulatorEngine, emulatorEngine } from "./emulator-engine.ts";
export type { EmulatorOptions } from "./emulator-engine.ts";
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
export { MAX_CPUS, mostMemoryMib } from "./machine-options.ts";
export { decodeSnapshot, encodeSnapshot } from "./machine-snapshot.ts";
export type { MachineSnapshot } from "./machine-snapshot.ts";
export type { BoardState } from "./board.ts";
export type { TimeState } from "./machine-time.ts";
export type { ExitCounts } from "./run-loop.ts";
export type { SerialLine } from "./serial-line.ts";
export { AGENT_PORT, ConsoleChannel } from "./agent/channel.ts";
export type { ByteChannel } from "./agent/channel.ts";
export { AgentClient } from "./agent/client.ts";
export type { GuestIdentity } from "./agent/client.ts";
export type { AgentCommand, CommandTerminal, ExecOptions, ExecResult } from "./agent/command.ts";
export type { ConnectOptions } from "./agent/connection.ts";
export type { RequestOptions } from "./agent/deadline.ts";
export type {
  CopyInOptions,
  CopyOutOptions,
  CopyResult,
  GuestContent,
  GuestEntry,
  GuestEntryOut,
} from "./agent/files.ts";
export type { AgentInfo } from "./agent/hello.ts";
export type { RunOptions, RunResult } from "./agent/run.ts";
export type { SignalName } from "./agent/signals.ts";
export type { GuestDisk, GuestStatistics } from "./agent/statistics.ts";
export type { ResourceUsage } from "./agent/usage.ts";
