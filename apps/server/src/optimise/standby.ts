import type { OutputOf } from "@queztl/api";
import type { Recommendation } from "@queztl/brain";
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import type { VmHost } from "../vms/vm-host.ts";

type Action = OutputOf<"brain.optimize">["actions"][number];

/** How many processes stand by, so that a VM begins in well below a second: by what is forecast, within the settings. */
export class Standby {
  readonly #host: VmHost;
  readonly #settings: Settings;
  readonly #log: Logger;
  #count = 0;

  constructor(host: VmHost, settings: Settings, log: Logger) {
    this.#host = host;
    this.#settings = settings;
    this.#log = log;
  }

  /** The number that the forecast and the settings ask for, as an action where it is another than now. */
  find(advice: readonly Recommendation[], now = Date.now()): Action[] {
    const { count, reason, gain } = this.#wanted(advice);
    if (count === this.#count) return [];
    return [
      {
        id: `standby/${Math.floor(now / 1000)}`,
        kind: "standby",
        subject: "local",
        value: count,
        reason,
        expectedGain: gain,
        realisedGain: null,
        done: false,
      },
    ];
  }

  /** Has so many stand by. That may build a template first, so it goes on by itself. */
  act(action: Action): Action {
    this.#count = action.value;
    this.#host.standBy(action.value).catch((error: unknown) => {
      this.#log.warn({ err: error }, "no process stands by");
    });
    return { ...action, done: true };
  }

  #wanted(advice: readonly Recommendation[]): { count: number; reason: string; gain: number } {
    const least = this.#settings.get("vms.standby");
    const most = Math.max(least, this.#settings.get("vms.mostStandby"));
    const pools = advice.filter(({ kind }) => kind === "warm-pool");
    const forecast = pools.reduce(
      (sum, { value }) => sum + (typeof value === "number" ? value : 0),
      0,
    );
    const count = Math.min(most, Math.max(least, forecast));
    const [first] = pools;
    const reason = count > least && first !== undefined ? first.reason : `vms.standby is ${least}`;
    return { count, reason, gain: pools.reduce((sum, { expectedGain }) => sum + expectedGain, 0) };
  }
}
