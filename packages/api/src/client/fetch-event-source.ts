import { type QueztlError, isQueztlError } from "@queztl/errors";
import { apiErrors } from "../errors.ts";
import { readEventStream } from "./event-stream.ts";
import { failureOfResponse } from "./failures.ts";
import type { Fetch } from "./http.ts";
import { StreamFailure } from "./stream-failure.ts";

/** What a stream is opened with. */
export interface FetchEventSourceInit {
  readonly fetch: Fetch;
  /** How long to try again after a lost connection, in seconds. */
  readonly giveUpSeconds: number;
}

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;

/**
 * An `EventSource` (WHATWG HTML, 9.2) on `fetch`: the browsers' own sends no `Authorization`, and Node has
 * none. It reconnects by itself with `Last-Event-ID`, but not where the very first connection fails, nor
 * where the server refuses the call: then it closes with a `StreamFailure`.
 */
export class FetchEventSource extends EventTarget {
  readonly CONNECTING = CONNECTING;
  readonly OPEN = OPEN;
  readonly CLOSED = CLOSED;
  readyState: number = CONNECTING;
  readonly #abort = new AbortController();
  readonly #url: string;
  readonly #init: FetchEventSourceInit;
  #lastEventId = "";
  /** Connections in a row that brought nothing. */
  #fruitless = 0;
  #lastLife: number | undefined;

  constructor(url: string, init?: FetchEventSourceInit) {
    super();
    this.#url = url;
    this.#init = init ?? { fetch, giveUpSeconds: 300 };
    void this.#run();
  }

  close(): void {
    this.readyState = CLOSED;
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    // Listeners are added after the constructor has returned.
    await Promise.resolve();
    while (this.readyState !== CLOSED) {
      const failure = await this.#connection();
      if (this.#abort.signal.aborted) return;
      const since = this.#lastLife;
      const hopeless = failure !== undefined && (since === undefined || !isPassing(failure.status));
      const tooLong =
        since !== undefined && performance.now() - since > this.#init.giveUpSeconds * 1000;
      this.readyState = hopeless || tooLong ? CLOSED : CONNECTING;
      const problem = "the stream ended";
      const ended = failure ?? apiErrors("QZ_API_UNREACHABLE", { url: this.#url, problem });
      this.dispatchEvent(new StreamFailure(ended));
      if (this.readyState === CONNECTING) await this.#wait();
    }
  }

  /** One connection to its end; why it failed, undefined where it just ended. */
  async #connection(): Promise<QueztlError | undefined> {
    try {
      const headers = new Headers({ accept: "text/event-stream" });
      if (this.#lastEventId !== "") headers.set("last-event-id", this.#lastEventId);
      const { signal } = this.#abort;
      const response = await this.#init.fetch(this.#url, { headers, signal, cache: "no-store" });
      const type = response.headers.get("content-type") ?? "";
      if (!response.ok || response.body === null || !type.startsWith("text/event-stream")) {
        return await failureOfResponse(this.#url, response);
      }
      this.readyState = OPEN;
      this.#lastLife = performance.now();
      for await (const { type, data, id } of readEventStream(response.body)) {
        // Closed under way: what is left of the buffer is for nobody.
        if (this.#abort.signal.aborted) return undefined;
        this.#lastLife = performance.now();
        this.#lastEventId = id;
        if (type === "message") this.#fruitless = 0;
        this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id }));
      }
      return undefined;
    } catch (cause) {
      if (isQueztlError(cause)) return cause;
      const problem = cause instanceof Error ? cause.message : "the connection broke";
      return apiErrors("QZ_API_UNREACHABLE", { url: this.#url, problem }, { cause });
    }
  }

  /** Waits longer each time, and not as long as all others do, until closed. */
  async #wait(): Promise<void> {
    const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#fruitless);
    this.#fruitless = Math.min(this.#fruitless + 1, 16);
    await new Promise<void>((resolve) => {
      const { signal } = this.#abort;
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, most / 2 + (Math.random() * most) / 2);
      signal.addEventListener("abort", done);
    });
  }
}

const isPassing = (status: QueztlError["status"]) =>
  status === "unavailable" || status === "exhausted" || status === "timeout" || status === "guest";
