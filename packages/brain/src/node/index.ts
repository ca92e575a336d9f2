export { type CommandResult, runCommand } from "./main.ts";
