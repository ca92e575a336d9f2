import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, applyBootState, createBoard } from "@queztl/cpu";
import type { ProcessorBootState, VcpuExit } from "@queztl/cpu";
import type { Engine, EngineBoard, EngineInstance, EngineVcpu } from "./engine.ts";

class EmulatedVcpu implements EngineVcpu {
  readonly cpu: Vcpu;

  constructor(cpu: Vcpu) {
    this.cpu = cpu;
  }

  get instructions(): number {
    return this.cpu.instructions;
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
}

/** The processor of `@queztl/cpu`: runs anywhere; the vCPUs take turns. */
export const emulatorEngine: Engine = {
  name: "emulator",
  arenaBytes: (cpus) => CODE_ARENA_BYTES + cpus * VCPU_ARENA_BYTES,
  create(options: EngineBoard): EngineInstance {
    const { memory, ports, mmio, clock, entropy, cpus } = options;
    const board = createBoard(memory, ports, mmio);
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
      setInterruptRequest: (asserted) => vcpus[0]?.cpu.apic.setLint0(asserted),
      onEndOfInterrupt: (listener) => board.apics.onEndOfInterrupt(listener),
    };
  },
};
