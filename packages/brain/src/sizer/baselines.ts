import { COLD_START_MIB } from "./allocation.ts";
import type { MemoryPolicy, RetryQuery, SizeQuery } from "./memory-policy.ts";
import { PeakHistogram } from "./peak-histogram.ts";
import { regressionPredictor } from "./predictors.ts";
import { cheapestOffset } from "./residual-offset.ts";

const HALF_LIFE_SECONDS = 86_400;

const coldStart = (query: SizeQuery) => query.requestMib ?? COLD_START_MIB;
const doubled = (query: RetryQuery) => ({ memoryMib: query.failedMib * 2 });

/** What the user asks for, or 4 GiB. */
export function requestPolicy(): MemoryPolicy {
  return {
    estimate: (query) => ({ memoryMib: coldStart(query) }),
    retry: doubled,
    observe: () => {},
  };
}

/** The Kubernetes vertical pod autoscaler's target: a quantile of a decaying histogram and a margin. */
export function vpaPolicy(quantile: number, margin: number): MemoryPolicy {
  return perFamily(
    () => new PeakHistogram(HALF_LIFE_SECONDS),
    (histogram) => histogram.quantile(quantile) * margin,
    (histogram, { peakMib, at }) => histogram.add(peakMib, at),
  );
}

interface Fit {
  readonly peaks: number[];
  readonly inputs: number[];
  readonly seconds: number[];
}

const emptyFit = (): Fit => ({ peaks: [], inputs: [], seconds: [] });

/** Witt et al. 2019: a line through input size and peak, lifted by the largest residual so far. */
export function wittPolicy(): MemoryPolicy {
  return perFamily(
    () => ({ ...emptyFit(), line: regressionPredictor("linear", { min: 0, max: Infinity }) }),
    ({ line, inputs, peaks }, { inputBytes }) => {
      let residual = 0;
      for (const [i, peak] of peaks.entries()) {
        residual = Math.max(residual, peak - line.predict(inputs[i] as number));
      }
      return line.predict(inputBytes) + residual;
    },
    ({ line, inputs, peaks }, { inputBytes, peakMib, runtimeSeconds, at }) => {
      line.learn({ inputBytes, peakMib, runtimeSeconds, at });
      inputs.push(inputBytes);
      peaks.push(peakMib);
    },
  );
}

/** Tovar et al. 2018: the first allocation that would have wasted least, retried with the most seen. */
export function tovarPolicy(): MemoryPolicy {
  return perFamily(
    emptyFit,
    ({ peaks, seconds }) =>
      cheapestOffset(
        "factor",
        peaks.map(() => 1),
        peaks,
        seconds,
        { retryMib: Math.max(...peaks), failurePenalty: 0, failureFraction: 1, headroom: 0 },
      ),
    ({ peaks, seconds }, { peakMib, runtimeSeconds }) => {
      peaks.push(peakMib);
      seconds.push(runtimeSeconds);
    },
  );
}

function perFamily<State>(
  start: () => State,
  estimate: (state: State, query: SizeQuery) => number,
  learn: (state: State, sample: Parameters<MemoryPolicy["observe"]>[0]) => void,
): MemoryPolicy {
  const states = new Map<string, State>();
  return {
    estimate(query) {
      const state = states.get(query.family);
      return { memoryMib: state === undefined ? coldStart(query) : estimate(state, query) };
    },
    retry: doubled,
    observe(observation) {
      if (observation.outcome !== "ok") return;
      let state = states.get(observation.family);
      if (state === undefined) {
        state = start();
        states.set(observation.family, state);
      }
      learn(state, observation);
    },
  };
}
