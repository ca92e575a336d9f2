import { Flags } from "@oclif/core";
import { followEvents } from "@queztl/api/client";
import { QueztlCommand } from "../command.ts";
import { eventLine } from "../view/event.ts";

const TOPICS = [
  "vm",
  "task",
  "brain",
  "node",
  "image",
  "file",
  "config",
  "token",
  "server",
] as const;

export default class Events extends QueztlCommand<typeof Events> {
  static override summary = "Follow what happens";
  static override description =
    "Tells events as they happen, until Ctrl-C or --timeout. A lost connection is taken up again where it was; what is lost for good is told by an event of the topic gap. With -o json there is one object a line.";
  static override examples = [
    "<%= config.bin %> events -f",
    "<%= config.bin %> events --topic task --subject TASK -o json",
  ];
  static override flags = {
    follow: Flags.boolean({
      char: "f",
      default: true,
      summary: "Go on with what comes; it always does",
    }),
    topic: Flags.option({ options: TOPICS, multiple: true, multipleNonGreedy: true })({
      summary: "Only about these",
    }),
    subject: Flags.string({ helpValue: "ID", summary: "Only about the thing with this id" }),
    after: Flags.string({ helpValue: "EVENT", summary: "Also those since the event with this id" }),
  };

  async run(): Promise<void> {
    const { topic, subject, after } = this.flags;
    const { signal, timeoutSeconds } = this;
    const client = await this.connect();
    const limit = timeoutSeconds === undefined ? [] : [AbortSignal.timeout(timeoutSeconds * 1000)];
    const events = followEvents(client, {
      signal: AbortSignal.any([signal, ...limit]),
      ...(topic === undefined ? {} : { topics: topic }),
      ...(subject === undefined ? {} : { subject }),
      ...(after === undefined ? {} : { lastEventId: after }),
    });
    if (process.stdout.isTTY) this.say("waiting for events; Ctrl-C ends");
    for await (const event of events) {
      if (this.format === "json") this.write(`${JSON.stringify(event)}\n`);
      else if (this.format === "yaml") {
        const { stringify } = await import("yaml");
        this.write(`---\n${stringify(event)}`);
      } else if (this.format === "name") this.write(`${event.id}\n`);
      else this.write(`${eventLine(event, this.page)}\n`);
    }
  }
}
