#!/usr/bin/env node
/**
 * The process of one VM, started by `Vm.create` and `Vm.start`: `queztl-monitor FOLDER`, or `queztl-monitor --standby
 * FOLDER` for one that is told later which VM it is for.
 */
import { closeSync, writeSync } from "node:fs";
import { heedBranchHints } from "../branch-hints.ts";
import { keepInterpreter } from "../kept-interpreter.ts";
import { standBy } from "../standby/stand-by.ts";
import { serveVm } from "./serve.ts";

/** Where the process that starts a monitor hears whether it did: a line, "ready" or an error. */
const STARTER = 3;

function tell(line: string): void {
  try {
    writeSync(STARTER, `${line}\n`);
  } catch {
    // It did not wait, or it is gone.
  }
}

function tellLast(line: string): void {
  tell(line);
  try {
    closeSync(STARTER);
  } catch {
    // There was none.
  }
}

heedBranchHints();
keepInterpreter();
const [how, folder = "."] = process.argv.slice(2);
if (how === "--standby") await standBy(folder, { ready: () => tell("ready"), over: tellLast });
else await serveVm(how ?? ".", tellLast);
