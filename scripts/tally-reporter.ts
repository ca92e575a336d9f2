import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

/**
 * Ends a run with one plain line, `N passed, N failed, N skipped`, that any CI can read; where
 * QUEZTL_TALLY_FILE names a file, the three numbers are written there too (`.ci/run` adds them up).
 */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<unknown>): void {
    const tally = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) tally[test.result().state] += 1;
      if (module.errors().length > 0) tally.failed += 1;
    }
    const skipped = tally.skipped + tally.pending;
    const file = process.env["QUEZTL_TALLY_FILE"];
    if (file !== undefined) writeFileSync(file, `${tally.passed} ${tally.failed} ${skipped}\n`);
    console.log(`${tally.passed} passed, ${tally.failed} failed, ${skipped} skipped`);
  }
}
