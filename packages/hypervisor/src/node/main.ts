#!/usr/bin/env node
import { enableCompileCache, flushCompileCache } from "node:module";
import { heedBranchHints } from "./branch-hints.ts";

/** When a machine has run most of our code once. */
const FLUSH_AFTER_MS = 2000;

// First: what is cached is only for the flags that it was compiled with.
heedBranchHints();
// Compiled once per computer, not once per machine. What is cached is written now, too: many a machine ends by a signal.
enableCompileCache();
setTimeout(flushCompileCache, FLUSH_AFTER_MS).unref();
const { keepInterpreter } = await import("./kept-interpreter.ts");
keepInterpreter();
const { queztlVm } = await import("./queztl-vm.ts");
await queztlVm();
