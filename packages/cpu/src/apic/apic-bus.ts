import { DeliveryMode } from "./interrupt-message.ts";
import type { ApicMessage } from "./interrupt-message.ts";
import type { LocalApic } from "./local-apic.ts";

/** Connects the local APICs of one machine with each other and with the IOAPIC and MSI writers. */
export class ApicBus {
  readonly #apics: LocalApic[] = [];
  readonly #endListeners: ((vector: number) => void)[] = [];
  /** Counts lowest-priority messages, so that processors of equal priority take turns. */
  turn = 0;

  attach(apic: LocalApic): void {
    this.#apics.push(apic);
  }

  /** `listener(vector)` hears each end of interrupt of a level-triggered vector: an IOAPIC's remote IRR. */
  onEndOfInterrupt(listener: (vector: number) => void): void {
    this.#endListeners.push(listener);
  }

  endOfInterrupt(vector: number): void {
    for (const listener of this.#endListeners) listener(vector);
  }

  /** Delivers a message from outside the processors. @returns whether a local APIC took it. */
  deliver(message: ApicMessage): boolean {
    return this.#deliverTo(
      message,
      this.#apics.filter((apic) => apic.matches(message)),
    );
  }

  /** Delivers an inter-processor interrupt. */
  send(
    from: LocalApic,
    message: ApicMessage,
    shorthand: "none" | "self" | "all" | "others",
  ): boolean {
    switch (shorthand) {
      case "none":
        return this.deliver(message);
      case "self":
        return from.accept(message);
      case "all":
        return this.#deliverTo(message, this.#apics);
      case "others":
        return this.#deliverTo(
          message,
          this.#apics.filter((apic) => apic !== from),
        );
    }
  }

  #deliverTo(message: ApicMessage, targets: readonly LocalApic[]): boolean {
    if (message.deliveryMode === DeliveryMode.LowestPriority && targets.length > 1) {
      const lowest = Math.min(...targets.map((apic) => apic.taskPriority >> 4));
      const candidates = targets.filter((apic) => apic.taskPriority >> 4 === lowest);
      const chosen = candidates[this.turn++ % candidates.length];
      return chosen?.accept(message) ?? false;
    }
    let taken = false;
    for (const apic of targets) taken = apic.accept(message) || taken;
    return taken;
  }
}
