import {
  CODE_ARENA_BYTES,
  VCPU_ARENA_BYTES,
  Vcpu,
  applyBootState,
  createBoard,
  markGuestStopped,
  restoreVcpu,
  saveVcpu,
} from "@queztl/cpu";
import type { ProcessorBootState, VcpuExit } from "@queztl/cpu";
import type { Engine, EngineBoard, EngineInstance, EngineVcpu, ProcessorsState } from "./engine.ts";
import { hypervisorError } from "./errors.ts";

class EmulatedVcpu implements EngineVcpu {
  readonly cpu: Vcpu;

  constructor(cpu: Vcpu) {
    this.cpu = cpu;
  }

  get instructions(): number {
    return this.cpu.instructionsNow;
  }

  get runnable(): boolean {
    const { cpu } = this;
    if (cpu.shutdown || cpu.waitingForStartup) return false;
    return !cpu.halted || cpu.interruptible;
  }

  run(budget: number): VcpuExit {
    return this.cpu.run(budget);
  }

  requestStop(): void {
    this.cpu.requestStop();
  }

  reset(): void {
    this.cpu.reset();
  }

  boot(state: ProcessorBootState): void {
    applyBootState(this.cpu, state);
  }

  wasStopped(): void {
    markGuestStopped(this.cpu);
  }
}

/** How the emulator runs code. */
export interface EmulatorOptions {
  /** 0 has everything interpreted; `auto`, the default, has hot code translated. The guest sees no difference. */
  readonly tier?: 0 | "auto";
}

/** The processor of `@queztl/cpu`, as an engine: runs anywhere; the vCPUs take turns. */
export function createEmulatorEngine(emulator: EmulatorOptions = {}): Engine {
  return {
    name: "emulator",
    arenaBytes: (cpus) => CODE_ARENA_BYTES + cpus * VCPU_ARENA_BYTES,
    create(options: EngineBoard): EngineInstance {
      const { memory, ports, mmio, clock, entropy, cpus } = options;
      const board = createBoard(memory, ports, mmio, { tier: emulator.tier ?? "auto" });
      const vcpus = Array.from(
        { length: cpus },
        (_, id) =>
          new EmulatedVcpu(new Vcpu(board, { id, clock, entropy, features: { processors: cpus } })),
      );
      return {
        vcpus,
        deliver: (message) => board.apics.deliver(message),
        connectPic(pic) {
          board.pic = pic;
        },
        get translator() {
          return board.translator?.statistics;
        },
        get regionFlags() {
          return board.translator?.flags;
        },
        setInterruptRequest: (asserted) => vcpus[0]?.cpu.apic.setLint0(asserted),
        onEndOfInterrupt: (listener) => board.apics.onEndOfInterrupt(listener),
        save: () => ({
          version: 1,
          vcpus: vcpus.map(({ cpu }) => saveVcpu(cpu)),
          lowestPriorityTurn: board.apics.turn,
        }),
        restore(state: ProcessorsState) {
          if (state.vcpus.length !== cpus || !Number.isSafeInteger(state.lowestPriorityTurn)) {
            const reason = `it has ${state.vcpus.length} processors, this machine ${cpus}`;
            throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason });
          }
          board.apics.turn = state.lowestPriorityTurn;
          state.vcpus.forEach((saved, i) => restoreVcpu((vcpus[i] as EmulatedVcpu).cpu, saved));
        },
      };
    },
  };
}

/** The emulator as it is when nothing else is asked for. */
export const emulatorEngine: Engine = createEmulatorEngine();
