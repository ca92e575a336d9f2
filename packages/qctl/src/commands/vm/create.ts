import { Args, Flags } from "@oclif/core";
import type { InputOf } from "@queztl/api";
import { isQueztlError } from "@queztl/errors";
import type { QueztlClient } from "@queztl/api/client";
import { QueztlCommand } from "../../command.ts";
import { severalFlag } from "../../command-line/args.ts";
import { parsePairs } from "../../command-line/pairs.ts";
import { parsePort } from "../../command-line/ports.ts";
import { qctlErrors } from "../../errors.ts";
import type { Vm } from "../../resources.ts";
import { parseMebibytes } from "../../session/quantities.ts";
import { vmView } from "../../view/vm.ts";
import { settle } from "../../vm/settle.ts";

const SHORTEST_WORD_MS = 5000;

const sizeFlag = Flags.custom<number>({
  parse: async (text, _context, { name }) => parseMebibytes(text, `--${name}`),
  helpValue: "SIZE",
});

export default class VmCreate extends QueztlCommand<typeof VmCreate> {
  static override summary = "Create a VM by its purpose or by its resources";
  static override description =
    "Say what it is for and let the brain choose its size, or give --cpu and --memory. What is given beside a purpose overrules the brain.";
  static override aliases = ["vm:new", "vm:run"];
  static override examples = [
    '<%= config.bin %> vm create survey --purpose "Process mining data from airborne surveys"',
    "<%= config.bin %> vm create web --cpu 2 --memory 1G --port 8080:80",
    "<%= config.bin %> vm create db --cpu 1 --memory 512 --disk 10G --label role=db --no-start",
  ];
  static override args = {
    name: Args.string({ required: true, description: "Its name, also its host name" }),
  };
  static override flags = {
    purpose: Flags.string({
      char: "p",
      helpValue: "TEXT",
      summary: "What it is for, in your words",
    }),
    cpu: Flags.integer({ min: 1, helpValue: "N", summary: "Processors" }),
    memory: sizeFlag({ aliases: ["ram"], summary: "Memory, in MiB or such as 2G" }),
    disk: sizeFlag({ summary: "Disk, in MiB or such as 10G" }),
    gpu: Flags.integer({ min: 0, helpValue: "N", summary: "GPUs" }),
    image: Flags.string({
      char: "i",
      helpValue: "IMAGE",
      summary: "The image to start from; the server's default unless given",
    }),
    port: severalFlag({
      helpValue: "[HOST:]GUEST",
      summary: "Forward a port of the host to the guest, such as 8080:80 or 53/udp",
    }),
    label: severalFlag({ helpValue: "KEY=VALUE", summary: "A label of yours" }),
    start: Flags.boolean({ default: true, allowNo: true, summary: "Whether to start it at once" }),
  };

  async run(): Promise<Vm> {
    const { name } = this.args;
    const input = this.input();
    const client = await this.connect();
    const { signal, timeoutSeconds } = this;
    const goal: Vm["state"][] = input.start === false ? ["stopped"] : ["running"];
    const options = { client, vm: name, goal, signal, timeoutSeconds };
    const word = setTimeout(
      () =>
        this.say(
          `the first VM of an image boots; those after it start from its snapshot in moments`,
        ),
      SHORTEST_WORD_MS,
    );
    try {
      const vm = await this.busy(
        `creating ${name}`,
        settle(client.vm.create.mutate(input, { signal }), options),
      );
      await this.show(vmView, vm);
      if (vm.state === "running") this.say(`enter it with \`qctl vm shell ${vm.name}\``);
      return vm;
    } catch (failure) {
      if (!signal.aborted) throw failure;
      throw qctlErrors("QZ_QCTL_INTERRUPTED", { after: await whatIsLeft(client, name) });
    } finally {
      clearTimeout(word);
    }
  }

  private input(): InputOf<"vm.create"> {
    const { purpose, cpu, memory, disk, gpu, image, port, label, start } = this.flags;
    if (purpose === undefined && (cpu === undefined || memory === undefined)) {
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
        field: "its size",
        expected: "given by --purpose TEXT, or by --cpu N and --memory SIZE",
      });
    }
    return {
      name: this.args.name,
      ...(purpose === undefined ? {} : { purpose }),
      ...(cpu === undefined ? {} : { cpu }),
      ...(memory === undefined ? {} : { memoryMib: memory }),
      ...(disk === undefined ? {} : { diskMib: disk }),
      ...(gpu === undefined ? {} : { gpu }),
      ...(image === undefined ? {} : { image }),
      ports: port.map(parsePort),
      labels: parsePairs(label, "--label"),
      start,
    };
  }
}

/** What a creation that was interrupted has left behind. */
async function whatIsLeft(client: QueztlClient, name: string): Promise<string> {
  try {
    const { state } = await client.vm.get.query({ vm: name });
    return `; ${name} is ${state} and goes on: \`qctl vm destroy ${name} --force\` takes it back`;
  } catch (failure) {
    const missing = isQueztlError(failure) && failure.status === "not-found";
    return missing
      ? `; no VM ${name} is left`
      : `; \`qctl vm get ${name}\` tells what became of it`;
  }
}
