import type { QueztlError } from "@queztl/errors";

/** Says that a stream lost its connection or is over; `error` says why. */
export class StreamFailure extends Event {
  readonly error: QueztlError;

  constructor(error: QueztlError) {
    super("error");
    this.error = error;
  }

  get message(): string {
    return this.error.message;
  }
}
