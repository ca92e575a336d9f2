import type { InterruptLine } from "@queztl/memory";
import type { InterruptMessage, InterruptMessageSink } from "../interrupt-message.ts";

/** An interrupt line that remembers its level and counts its rising edges. */
export class TestLine implements InterruptLine {
  asserted = false;
  edges = 0;

  set(asserted: boolean): void {
    if (asserted && !this.asserted) this.edges++;
    this.asserted = asserted;
  }
}

/** Local APICs that remember the messages they got. */
export class TestApics implements InterruptMessageSink {
  readonly messages: InterruptMessage[] = [];
  /** Whether messages are taken. */
  accepting = true;

  deliver(message: InterruptMessage): boolean {
    if (this.accepting) this.messages.push(message);
    return this.accepting;
  }

  /** The vectors received since the last call. */
  takeVectors(): number[] {
    return this.messages.splice(0).map((message) => message.vector);
  }
}
