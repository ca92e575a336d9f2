const CTRL_A = 1;

/** The keys behind Ctrl-A. */
export const KEYS_HELP =
  "\r\nCtrl-A x   end the run\r\nCtrl-A h   this help\r\nCtrl-A a   send Ctrl-A to the guest\r\n";

/** What typed keys do. */
export interface KeyActions {
  readonly send: (bytes: Uint8Array) => void;
  readonly leave: () => void;
  readonly help: () => void;
}

/** Finds the commands behind Ctrl-A in what is typed, also where they come in pieces. */
export class EscapeKeys {
  readonly #actions: KeyActions;
  #escaped = false;

  constructor(actions: KeyActions) {
    this.#actions = actions;
  }

  take(bytes: Uint8Array): void {
    const plain: number[] = [];
    const send = (): void => {
      if (plain.length > 0) this.#actions.send(Uint8Array.from(plain.splice(0)));
    };
    for (const byte of bytes) {
      if (!this.#escaped) {
        if (byte === CTRL_A) this.#escaped = true;
        else plain.push(byte);
        continue;
      }
      this.#escaped = false;
      switch (String.fromCharCode(byte).toLowerCase()) {
        case "x":
          send();
          this.#actions.leave();
          return;
        case "h":
        case "?":
          send();
          this.#actions.help();
          break;
        case "a":
        case "\u0001":
          plain.push(CTRL_A);
          break;
        default:
          // No command: both keys were meant for the guest.
          plain.push(CTRL_A, byte);
      }
    }
    send();
  }
}

/** What standard input is connected to. */
export interface TerminalHost {
  /** Resolves when the guest has taken the bytes; no more is read until then. */
  readonly send: (bytes: Uint8Array) => Promise<void>;
  readonly leave: () => void;
  readonly help: () => void;
}

/**
 * Leads standard input to the guest: a terminal raw, with the keys behind Ctrl-A; a pipe or file as it is, to its end.
 * @returns a function that gives the input back as it was.
 */
export function connectInput(input: NodeJS.ReadStream, host: TerminalHost): () => void {
  const terminal = input.isTTY ? input : undefined;
  const send = async (bytes: Uint8Array): Promise<void> => {
    input.pause();
    await host.send(bytes);
    if (connected) input.resume();
  };
  let connected = true;
  const keys = new EscapeKeys({
    send: (bytes) => void send(bytes),
    leave: host.leave,
    help: host.help,
  });
  const onData = (data: Buffer): void => (terminal ? keys.take(data) : void send(data));
  const onError = (): void => undefined;
  terminal?.setRawMode(true);
  input.on("data", onData);
  input.on("error", onError);
  return () => {
    connected = false;
    input.off("data", onData);
    input.pause();
    terminal?.setRawMode(false);
  };
}
