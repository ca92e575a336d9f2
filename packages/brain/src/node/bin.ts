#!/usr/bin/env node
import { runCommand } from "./main.ts";

const { output, error, exitCode } = await runCommand(process.argv.slice(2));
if (output !== "") process.stdout.write(`${output}\n`);
if (error !== "") process.stderr.write(`${error}\n`);
process.exitCode = exitCode;
