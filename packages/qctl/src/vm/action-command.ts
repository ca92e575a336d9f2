import type { Command } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { QueztlCommand } from "../command.ts";
import { reportOf, reportText } from "../failure.ts";
import type { Vm } from "../resources.ts";
import { listView } from "../view/list-view.ts";
import { paintState } from "../view/paint.ts";
import type { View } from "../view/view.ts";
import { settle, type SettleOptions } from "./settle.ts";

const states = listView<Vm>({ columns: [], name: ({ name }) => name });

/** What became of VMs: a line each. */
const statesView: View<{ readonly items: readonly Vm[] }> = {
  ...states,
  text: ({ items }, { paint }) =>
    items.map(({ name, state }) => `${name} ${paintState(paint, state)}`).join("\n"),
};

/** A command that does the same to one VM or several, one after the other. */
export abstract class VmActionCommand<Class extends typeof Command> extends QueztlCommand<Class> {
  /** What is being done, such as `stopping`. */
  protected abstract readonly doing: string;
  /** The states that it leads to. */
  protected abstract readonly goal: readonly Vm["state"][];

  /** Asks the server for it. */
  protected abstract act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm>;

  /** Does it to all of them; goes on after a failure, and ends with the first failure's code. */
  protected async actOnAll(vms: readonly string[]): Promise<readonly Vm[]> {
    const client = await this.connect();
    const items: Vm[] = [];
    let exitCode = 0;
    for (const vm of vms) {
      try {
        items.push(await this.actOn(client, vm));
      } catch (failure) {
        if (vms.length === 1 || this.signal.aborted) throw failure;
        const report = reportOf(failure);
        process.stderr.write(`${reportText(report, this.config.bin, this.talkPage)}\n`);
        exitCode ||= report.exitCode;
      }
    }
    const single = items.length === 1 && vms.length === 1 ? items[0] : undefined;
    if (single !== undefined && this.format !== "text" && this.format !== "name") {
      const { vmView } = await import("../view/vm.ts");
      await this.show(vmView, single);
    } else await this.show(statesView, { items });
    if (exitCode !== 0) this.exit(exitCode);
    return items;
  }

  private async actOn(client: QueztlClient, vm: string): Promise<Vm> {
    const { signal, timeoutSeconds, goal } = this;
    const onLost: SettleOptions["onLost"] = (failure) =>
      this.say(
        failure === undefined ? "connected again" : `${failure.message}; ${vm} is looked at again`,
      );
    const known = goal.includes("destroyed")
      ? await client.vm.get.query({ vm }, { signal })
      : undefined;
    const options = { client, vm, goal, known, signal, timeoutSeconds, onLost };
    return this.busy(`${this.doing} ${vm}`, settle(this.act(client, vm, signal), options));
  }
}
