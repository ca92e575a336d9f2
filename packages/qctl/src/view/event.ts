import type { ApiEvent } from "../resources.ts";
import { printableLine } from "./printable.ts";
import type { Page } from "./view.ts";

/** An event in one line: when, what, and to what. */
export function eventLine(event: ApiEvent, { paint, wide }: Page): string {
  const time = wide ? event.at : new Date(event.at).toTimeString().slice(0, 8);
  const subject = event.name ?? event.subject ?? "";
  const details = wide ? ` ${printableLine(JSON.stringify(event.details))} ${event.id}` : "";
  const type = paint(COLOURS[event.topic] ?? "blue", event.type);
  return `${paint("dim", time)} ${type} ${paint("bold", subject)} ${printableLine(event.message)}${details}`;
}

const COLOURS: Readonly<Partial<Record<ApiEvent["topic"], "cyan" | "green" | "magenta" | "red">>> =
  {
    vm: "cyan",
    task: "green",
    brain: "magenta",
    gap: "red",
  };
