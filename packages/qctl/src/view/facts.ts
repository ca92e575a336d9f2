import { renderDetails } from "./details.ts";
import { listView } from "./list-view.ts";
import { paintState } from "./paint.ts";
import type { View } from "./view.ts";

/** How a server is, as far as it tells. */
export interface ServerStatus {
  readonly state: "up" | "starting" | "down" | "refused";
  readonly server: string;
  readonly context: string | null;
  readonly version: string | null;
  readonly uptimeSeconds: number | null;
  readonly database: string | null;
  readonly vms: number | null;
  readonly tasks: number | null;
  /** The process that `qctl up` started, where it is this one. */
  readonly pid: number | null;
  readonly problem: string | null;
}

export const statusView: View<ServerStatus> = {
  text: (status, page) =>
    renderDetails(
      [
        ["Server", `${status.server} ${paintState(page.paint, status.state)}`],
        ["Problem", status.problem ?? undefined],
        ["Context", status.context ?? undefined],
        ["Version", status.version ?? undefined],
        ["Database", status.database ?? undefined],
        ["Running VMs", status.vms === null ? undefined : String(status.vms)],
        ["Open tasks", status.tasks === null ? undefined : String(status.tasks)],
        ["Process", status.pid === null ? undefined : `${status.pid} (started with qctl up)`],
      ],
      page,
    ),
  names: ({ state }) => [state],
};

/** One thing that `doctor` looked at. */
export interface Finding {
  readonly check: string;
  readonly state: "ok" | "warning" | "failed";
  readonly found: string;
  /** How to mend it; null where nothing is to be done. */
  readonly mend: string | null;
}

const MARKS = { ok: "✓", warning: "!", failed: "✗" } as const;
const COLOURS = { ok: "green", warning: "yellow", failed: "red" } as const;

const findings = listView<Finding>({
  columns: [],
  name: ({ check, state }) => `${check}=${state}`,
});

export const findingsView: View<{ readonly items: readonly Finding[] }> = {
  ...findings,
  text: ({ items }, page) => {
    const { paint } = page;
    const rows = items.map(({ check, state, found, mend }) => {
      const mark = paint(COLOURS[state], MARKS[state]);
      return [
        `${mark} ${check}`,
        mend === null ? found : `${found}\n${paint("dim", "→")} ${mend}`,
      ] as const;
    });
    return renderDetails(rows, { ...page, paint: (_, text) => text });
  },
};
