import { fileURLToPath } from "node:url";
import fc from "fast-check";

/**
 * Property tests try new inputs each time they are run by hand. In CI they try the same ones, so that a
 * change is judged by what it changed; a counterexample found by hand becomes a test of its own.
 */
if (process.env["CI"]) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 20_261_122 });

/** Initialised databases are shared by all tests: making one takes seconds of processor time, a copy none. */
process.env["QUEZTL_CACHE"] ??= fileURLToPath(
  new URL("node_modules/.cache/queztl", import.meta.url),
);
