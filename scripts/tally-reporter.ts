import type { Reporter, TestModule } from "vitest/node";

/** Ends a run with one plain line, `N passed, N failed, N skipped`, that any CI can read. */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const tally = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) tally[test.result().state] += 1;
      if (module.errors().length > 0) tally.failed += 1;
    }
    const skipped = tally.skipped + tally.pending;
    console.log(`${tally.passed} passed, ${tally.failed} failed, ${skipped} skipped`);
  }
}
