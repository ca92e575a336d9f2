/** The saved form. */
export interface ArrivalState {
  readonly classes: [sizeClass: string, firstHour: number, counts: number[]][];
  readonly gaps: [sizeClass: string, last: number, gaps: number[]][];
}

const HOUR_SECONDS = 3600;
/** Four weeks of hours. */
const MOST_HOURS = 24 * 28;
const MOST_GAPS = 500;
const MOST_CLASSES = 64;

/** How many tasks of each size class arrived in each hour, and the pauses between them. */
export class Arrivals {
  readonly #hours = new Map<string, { first: number; counts: number[] }>();
  readonly #gaps = new Map<string, { last: number; gaps: number[] }>();

  add(sizeClass: string, at: number): void {
    const hour = Math.floor(at / HOUR_SECONDS);
    let series = this.#hours.get(sizeClass);
    if (series === undefined) {
      if (this.#hours.size >= MOST_CLASSES) return;
      series = { first: hour, counts: [] };
      this.#hours.set(sizeClass, series);
    }
    extend(series, hour);
    const place = hour - series.first;
    if (place >= 0) series.counts[place] = (series.counts[place] ?? 0) + 1;
    const pauses = this.#gaps.get(sizeClass);
    if (pauses === undefined) this.#gaps.set(sizeClass, { last: at, gaps: [] });
    else {
      if (at > pauses.last) pauses.gaps.push(at - pauses.last);
      if (pauses.gaps.length > MOST_GAPS) pauses.gaps.shift();
      pauses.last = Math.max(pauses.last, at);
    }
  }

  sizeClasses(): string[] {
    return [...this.#hours.keys()];
  }

  /** Arrivals in each whole hour from the first known one up to (not including) the hour of `at`. */
  hourly(sizeClass: string, at: number): number[] {
    const series = this.#hours.get(sizeClass);
    if (series === undefined) return [];
    const hour = Math.floor(at / HOUR_SECONDS);
    extend(series, hour);
    return series.counts.slice(0, Math.max(0, hour - series.first));
  }

  /** Arrivals in the whole hours from `from` to `to` (seconds). */
  between(sizeClass: string, from: number, to: number): number {
    const series = this.#hours.get(sizeClass);
    if (series === undefined) return 0;
    let sum = 0;
    for (
      let hour = Math.floor(from / HOUR_SECONDS);
      hour < Math.floor(to / HOUR_SECONDS);
      hour += 1
    ) {
      sum += series.counts[hour - series.first] ?? 0;
    }
    return sum;
  }

  /** Seconds between one arrival and the next, the oldest first. */
  gaps(sizeClass: string): readonly number[] {
    return this.#gaps.get(sizeClass)?.gaps ?? [];
  }

  save(): ArrivalState {
    return {
      classes: Array.from(this.#hours, ([name, { first, counts }]) => [name, first, [...counts]]),
      gaps: Array.from(this.#gaps, ([name, { last, gaps }]) => [name, last, [...gaps]]),
    };
  }

  restore(state: ArrivalState): void {
    for (const [name, first, counts] of state.classes) {
      this.#hours.set(name, { first, counts: [...counts] });
    }
    for (const [name, last, gaps] of state.gaps) this.#gaps.set(name, { last, gaps: [...gaps] });
  }
}

/** Fills hours without arrivals with zeros and forgets what is older than four weeks. */
function extend(series: { first: number; counts: number[] }, hour: number): void {
  const past = hour - (series.first + series.counts.length - 1);
  if (past > MOST_HOURS) {
    series.first = hour;
    series.counts = [0];
    return;
  }
  for (let i = 0; i < past; i += 1) series.counts.push(0);
  const surplus = series.counts.length - MOST_HOURS;
  if (surplus > 0) {
    series.counts.splice(0, surplus);
    series.first += surplus;
  }
}
