import { Flags } from "@oclif/core";
import { isQueztlError } from "@queztl/errors";
import { QueztlCommand } from "../command.ts";
import { contextsPath, queztlHome } from "../context/contexts.ts";
import type { Target } from "../context/target.ts";
import { EXIT_CODES } from "../exit-codes.ts";
import {
  checkContexts,
  checkDatabaseUrl,
  checkHome,
  checkKvm,
  checkMemory,
  checkNode,
  checkPort,
  checkServer,
} from "../local/doctor.ts";
import { DEFAULT_PORT } from "../local/server-record.ts";
import { type Finding, findingsView } from "../view/facts.ts";
import type { Items } from "../view/list-view.ts";

export default class Doctor extends QueztlCommand<typeof Doctor> {
  static override summary = "Look for what is wrong, and say how to mend it";
  static override description =
    "Looks at Node.js, KVM, memory, disk, the port, the database, the server, its images and the file of tokens. Ends with 6 where something does not work; warnings are no failures.";
  static override examples = ["<%= config.bin %> doctor", "<%= config.bin %> doctor -o json"];
  static override flags = {
    port: Flags.integer({
      default: DEFAULT_PORT,
      min: 1,
      max: 65_535,
      helpValue: "N",
      summary: "The port of a server here",
    }),
  };

  async run(): Promise<Items<Finding>> {
    const home = queztlHome(process.env);
    const path = contextsPath(process.env);
    const looking = Promise.all([
      checkHome(home),
      this.checkTarget(),
      checkPort(this.flags.port),
      checkDatabaseUrl(process.env["DATABASE_URL"]),
    ]);
    const [folder, server, port, database] = await this.busy("looking", looking);
    const here = [checkNode(process.version), checkKvm(), checkMemory(), ...folder];
    const items = [...here, checkContexts(path), port, database, ...server];
    await this.show<Items<Finding>>(findingsView, { items });
    if (items.some(({ state }) => state === "failed")) this.exit(EXIT_CODES.unavailable.code);
    return { items };
  }

  private async checkTarget(): Promise<Finding[]> {
    let target: Target;
    try {
      target = this.target;
    } catch (failure) {
      if (!isQueztlError(failure)) throw failure;
      return [{ check: "Server", state: "warning", found: failure.message, mend: "`qctl up`" }];
    }
    return checkServer(await this.connect(target), target.server);
  }
}
