/** One choice that could be made, with the probability it is made with. */
export interface Arm {
  readonly name: "same" | "half" | "double" | "three quarters";
  readonly factor: number;
  readonly propensity: number;
}

/** A choice among arms, written down so that it can be repeated and learned from without bias. */
export interface Exploration {
  readonly arms: readonly Arm[];
  /** The number from 0 to 1 that was drawn. */
  readonly draw: number;
}

/** The saved form. */
export interface ExplorationState {
  readonly seed: number;
  readonly tried: number;
  readonly recent: number[];
}

/** How much may be tried, and how much of it may fail. */
export interface ExplorationBudget {
  /** The share of decisions that may differ from the best known, 0 to 0.5. */
  readonly rate: number;
  /** The share of tried choices that may end in a failure before trying stops. */
  readonly failures: number;
}

const RECENT = 100;

/** The arm that the draw falls on. */
export function drawnArm({ arms, draw }: Exploration): Arm {
  let passed = 0;
  for (const arm of arms) {
    passed += arm.propensity;
    if (draw < passed) return arm;
  }
  return arms[0] as Arm;
}

/** Decides when to try something else than the best known, from a seeded generator and a failure budget. */
export class Explorer {
  readonly #budget: ExplorationBudget;
  #seed: number;
  #tried = 0;
  /** Whether each of the last trials failed. */
  #recent: number[] = [];

  constructor(budget: ExplorationBudget, seed: number) {
    this.#budget = budget;
    this.#seed = (Math.abs(Math.trunc(seed)) % 2_147_483_646) + 1;
  }

  get tried(): number {
    return this.#tried;
  }

  get failedShare(): number {
    return this.#recent.length === 0
      ? 0
      : this.#recent.reduce((sum, failed) => sum + failed, 0) / this.#recent.length;
  }

  /** Offers the alternatives next to "same"; `uncertainty` (0 to 1) scales the rate. */
  offer(
    alternatives: readonly { readonly name: Arm["name"]; readonly factor: number }[],
    uncertainty: number,
  ): Exploration {
    // One failure more must still fit the budget over the last hundred, or nothing is tried.
    const failures = this.#recent.reduce((sum, failed) => sum + failed, 0);
    const open = (failures + 1) / RECENT <= this.#budget.failures;
    const rate = open && alternatives.length > 0 ? this.#budget.rate * uncertainty : 0;
    const arms: Arm[] = [{ name: "same", factor: 1, propensity: 1 - rate }];
    for (const { name, factor } of alternatives) {
      arms.push({ name, factor, propensity: rate / alternatives.length });
    }
    return { arms, draw: this.#next() };
  }

  learn(failed: boolean): void {
    this.#tried += 1;
    this.#recent.push(failed ? 1 : 0);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  /** Park and Miller's generator: small, seeded, and the same everywhere. */
  #next(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return (this.#seed - 1) / 2_147_483_646;
  }

  save(): ExplorationState {
    return { seed: this.#seed, tried: this.#tried, recent: [...this.#recent] };
  }

  restore(state: ExplorationState): void {
    this.#seed = state.seed;
    this.#tried = state.tried;
    this.#recent = [...state.recent];
  }
}
