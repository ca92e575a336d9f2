import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

// From a tenth of a millisecond to minutes: decisions and boots are told by the same scale.
const SECONDS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300];

/** What the server counts, for Prometheus. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new Histogram({
    name: "queztl_request_seconds",
    help: "How long requests took",
    labelNames: ["route", "status"] as const,
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly steps = new Histogram({
    name: "queztl_task_step_seconds",
    help: "How long the steps of tasks took",
    labelNames: ["step"] as const,
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly waits = new Histogram({
    name: "queztl_task_wait_seconds",
    help: "How long tasks waited in the queue",
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly attempts = new Counter({
    name: "queztl_task_attempts_total",
    help: "Attempts of tasks by how they ended",
    labelNames: ["outcome"] as const,
    registers: [this.registry],
  });
  readonly events = new Counter({
    name: "queztl_events_total",
    help: "Events by type",
    labelNames: ["type"] as const,
    registers: [this.registry],
  });
  readonly faults = new Counter({
    name: "queztl_faults_total",
    help: "Failures that are the server's own",
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** A gauge that is asked for its values each time somebody looks. */
  gauge(
    name: string,
    help: string,
    label: string,
    read: () => Promise<Readonly<Record<string, number>>>,
  ): void {
    const gauge = new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      async collect() {
        for (const [value, amount] of Object.entries(await read())) {
          gauge.set({ [label]: value }, amount);
        }
      },
    });
  }
}
