import { Args, Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import {
  CONTEXT_NAME,
  contextsPath,
  isExposed,
  readContexts,
  writeContexts,
} from "../../context/contexts.ts";
import { qctlErrors } from "../../errors.ts";
import { contextListView, contextRows, type ContextRow } from "../../view/context.ts";
import type { Items } from "../../view/list-view.ts";

export default class ConfigSet extends QueztlCommand<typeof ConfigSet> {
  static override summary = "Make or change a context: a server and the token for it";
  static override description =
    "The first context is the one that is used. A token of `-` is read from standard input, so that no list of processes and no history shows it. The file is readable by you only.";
  static override aliases = ["config:add"];
  static override examples = [
    "<%= config.bin %> config set office --server https://queztl.example --token - --use",
    "<%= config.bin %> config set office --remove",
  ];
  static override args = { context: Args.string({ required: true, description: "Its name" }) };
  static override flags = {
    use: Flags.boolean({ default: false, summary: "Use it from now on" }),
    remove: Flags.boolean({ default: false, summary: "Forget it" }),
  };

  async run(): Promise<Items<ContextRow>> {
    const { context: name } = this.args;
    const { server, token, use, remove } = this.flags;
    const path = contextsPath(process.env);
    const before = readContexts(path);
    if (!CONTEXT_NAME.test(name)) {
      const expected = "letters, digits and ._- , at most 63";
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field: "a context's name", expected });
    }
    const known = Object.hasOwn(before.contexts, name) ? before.contexts[name] : undefined;
    const { [name]: _, ...others } = before.contexts;
    if (remove) {
      if (known === undefined) throw qctlErrors("QZ_QCTL_CONTEXT_UNKNOWN", { context: name });
      const { current, ...rest } = before;
      const kept = current === undefined || current === name ? {} : { current };
      writeContexts(path, { ...rest, ...kept, contexts: others });
      this.say(`the context ${name} is forgotten`);
      return { items: [] };
    }
    const address = server ?? known?.server;
    if (address === undefined || !/^https?:\/\/./.test(address) || !URL.canParse(address)) {
      const expected = "given by --server, an address such as http://127.0.0.1:7070";
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field: "the server", expected });
    }
    const given = token === "-" ? (await firstLineOfInput()).trim() : token;
    // A token is for one server: another address does not inherit it.
    const secret = given ?? (address === known?.server ? known.token : undefined);
    if (secret !== undefined && !/^[\x21-\x7e]{1,512}$/.test(secret)) {
      const expected = "printable characters without spaces";
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field: "the token", expected });
    }
    const current = use || before.current === undefined ? name : before.current;
    const context = { server: address, ...(secret === undefined ? {} : { token: secret }) };
    const after = { current, contexts: { ...others, [name]: context } };
    if (isExposed(path)) this.say(`${path} was readable by others; it is not any more`);
    writeContexts(path, after);
    if (secret === undefined)
      this.say(`it has no token yet: \`qctl config set ${name} --token -\``);
    const rows = contextRows(after, false).filter((row) => row.name === name);
    return this.show<Items<ContextRow>>(contextListView, { items: rows });
  }
}

async function firstLineOfInput(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write("token: ");
  let text = "";
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  return text.split("\n")[0] ?? "";
}
