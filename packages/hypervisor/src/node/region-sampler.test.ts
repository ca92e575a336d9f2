import { expect, test } from "vitest";
import { RegionSampler } from "./region-sampler.ts";

test("two processors of three in translated code → twice the time; none → none", async () => {
  const buffer = new SharedArrayBuffer(64);
  const busy = new RegionSampler({ buffer, offsets: [8, 16, 32] });
  const idle = new RegionSampler({ buffer, offsets: [4, 12] });
  Atomics.store(new Int32Array(buffer), 2, 1);
  Atomics.store(new Int32Array(buffer), 8, 1);
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const seconds = await busy.stop();
  const most = (2 * (performance.now() - started)) / 1000;
  // It takes a while to start.
  expect(seconds).toBeGreaterThan(most / 4);
  expect(seconds).toBeLessThanOrEqual(most);
  expect(await idle.stop()).toBe(0);
});
