import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * The folder of everything Queztl keeps on this computer: `QUEZTL_HOME`, or `.queztl` in the user's home.
 * One folder, whatever the platform, so that it can be moved, backed up and deleted as a whole; the XDG
 * variables are not consulted.
 */
export function queztlHome(environment: NodeJS.ProcessEnv = process.env): string {
  const set = environment["QUEZTL_HOME"];
  return set ? resolve(set) : join(homedir(), ".queztl");
}
