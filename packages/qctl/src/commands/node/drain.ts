import { Flags } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { isQueztlError } from "@queztl/errors";
import { durationFlag, QueztlCommand, yesFlag } from "../../command.ts";
import { nodeArg } from "../../command-line/args.ts";
import { qctlErrors } from "../../errors.ts";
import type { ClusterNode } from "../../resources.ts";
import { waitFor } from "../../session/wait.ts";
import { nodeView } from "../../view/cluster.ts";

export default class NodeDrain extends QueztlCommand<typeof NodeDrain> {
  static override summary = "Cordon a node and move what runs on it elsewhere";
  static override description =
    "Waits until no task runs on it. Its tasks may go on until the deadline and go back to the queue then; VMs of your own stay. `node uncordon` takes it back into use, also while it drains.";
  static override examples = [
    "<%= config.bin %> node drain rack-2 --deadline 5m",
    "<%= config.bin %> node drain local --deadline 0 --yes --no-wait",
  ];
  static override args = { node: nodeArg };
  static override flags = {
    deadline: durationFlag({
      default: 600,
      summary: "How long running tasks may go on before they are moved",
    }),
    wait: Flags.boolean({ default: true, allowNo: true, summary: "Wait until it is drained" }),
    yes: yesFlag,
  };

  async run(): Promise<ClusterNode> {
    const { node } = this.args;
    await this.confirm(`Move everything away from ${node}?`, this.flags.yes);
    const client = await this.connect();
    const deadlineSeconds = Math.round(this.flags.deadline);
    const begun = await client.node.drain.mutate({ node, deadlineSeconds });
    if (!this.flags.wait) return this.show(nodeView, begun);
    const left = await this.busy(`draining ${node}`, this.#drained(client, begun));
    if (!left.cordoned) throw qctlErrors("QZ_QCTL_NOT_DRAINED", { node });
    if (left.vms > 0) this.say(`${left.vms} VMs stay on it: \`qctl vm list --node ${left.name}\``);
    return this.show(nodeView, left);
  }

  #drained(client: QueztlClient, begun: ClusterNode): Promise<ClusterNode> {
    const { name } = begun;
    return waitFor({
      read: (signal) => client.node.get.query({ node: name }, { signal }),
      done: ({ state }) => state !== "draining",
      onLost: (failure) => {
        if (failure !== undefined && !this.isLive) this.say(failure.message);
      },
      signal: this.signal,
      timeoutSeconds: this.timeoutSeconds,
      what: `the node ${name}`,
    }).catch((failure: unknown) => {
      if (!isQueztlError(failure, "QZ_QCTL_INTERRUPTED")) throw failure;
      const after = `; ${name} goes on draining: \`qctl node uncordon ${name}\` takes it back into use`;
      throw qctlErrors("QZ_QCTL_INTERRUPTED", { after });
    });
  }
}
