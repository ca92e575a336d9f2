import type { ExecResult, Snapshot, Vm, VmStats } from "../resources.ts";
import { renderDetails } from "./details.ts";
import { listView } from "./list-view.ts";
import { paintState } from "./paint.ts";
import { printableLine } from "./printable.ts";
import type { Column } from "./table.ts";
import { age, byteSize, duration, mebibytes, percent } from "./units.ts";
import type { View } from "./view.ts";

type Port = Vm["ports"][number];

const port = ({ address, host, guest, protocol }: Port): string => {
  const where = address.includes(":") ? `[${address}]` : address;
  return `${where}:${host}→${guest}${protocol === "tcp" ? "" : `/${protocol}`}`;
};
const ports = (vm: Vm): string => vm.ports.map(port).join(" ") || "-";
const labels = (all: Readonly<Record<string, string>>): string =>
  Object.entries(all)
    .map(([key, value]) => printableLine(`${key}=${value}`))
    .join(" ") || "-";

const columns: readonly Column<Vm>[] = [
  { header: "NAME", text: ({ name }) => name, least: 12 },
  {
    header: "STATE",
    text: ({ state }) => state,
    style: ({ state }, text, { paint }) => (text === state ? paintState(paint, text) : text),
  },
  { header: "CPU", text: ({ resources }) => String(resources.cpu), right: true, drop: 2 },
  {
    header: "MEMORY",
    text: ({ resources }) => mebibytes(resources.memoryMib),
    right: true,
    drop: 3,
  },
  { header: "IMAGE", text: ({ image }) => image, least: 8, drop: 5 },
  { header: "NODE", text: ({ node }) => node, least: 8, drop: 7 },
  { header: "PORTS", text: ports, least: 12, drop: 6 },
  { header: "AGE", text: ({ createdAt }, { now }) => age(createdAt, now), right: true, drop: 4 },
  {
    header: "DISK",
    text: ({ resources }) => mebibytes(resources.diskMib),
    right: true,
    wide: true,
    drop: 8,
  },
  { header: "ENGINE", text: ({ engine }) => engine, wide: true, drop: 9 },
  { header: "TASK", text: ({ task }) => task ?? "-", wide: true, least: 8, drop: 10 },
  { header: "LABELS", text: (vm) => labels(vm.labels), wide: true, least: 8, drop: 11 },
  {
    header: "PURPOSE",
    text: ({ purpose }) => (purpose === null ? "-" : printableLine(purpose)),
    wide: true,
    least: 10,
    drop: 12,
  },
  { header: "ID", text: ({ id }) => id, wide: true, least: 8, drop: 13 },
];

export const vmListView = listView<Vm>({ columns, name: ({ name }) => name });

export const vmView: View<Vm> = {
  text: (vm, page) => {
    const { resources } = vm;
    const gpu = resources.gpu === 0 ? "" : `, ${resources.gpu} GPU`;
    const size = `${resources.cpu} CPU, ${mebibytes(resources.memoryMib)} memory, ${mebibytes(resources.diskMib)} disk${gpu}`;
    return renderDetails(
      [
        ["Name", vm.name],
        ["State", paintState(page.paint, vm.state)],
        ["Problem", vm.problem === null ? undefined : printableLine(vm.problem.message)],
        ["Purpose", vm.purpose === null ? undefined : printableLine(vm.purpose)],
        ["Resources", size],
        ["Image", vm.image],
        ["Engine", `${vm.engine} on ${vm.node}`],
        ["Ports", vm.ports.length === 0 ? undefined : vm.ports.map(port).join("\n")],
        ["Labels", Object.keys(vm.labels).length === 0 ? undefined : labels(vm.labels)],
        ["Task", vm.task ?? undefined],
        ["Forked from", vm.parent ?? undefined],
        ["Decision", vm.decision ?? undefined],
        ["Created", `${age(vm.createdAt, page.now)} ago (${vm.createdAt})`],
        ["Started", vm.startedAt === null ? undefined : `${age(vm.startedAt, page.now)} ago`],
        ["Id", vm.id],
      ],
      page,
    );
  },
  names: ({ name }) => [name],
};

const snapshotColumns: readonly Column<Snapshot>[] = [
  { header: "NAME", text: ({ name }) => name, least: 12 },
  { header: "SIZE", text: ({ bytes }) => byteSize(bytes), right: true, drop: 2 },
  { header: "AGE", text: ({ createdAt }, { now }) => age(createdAt, now), right: true, drop: 1 },
  { header: "ID", text: ({ id }) => id, wide: true, least: 8, drop: 3 },
];

export const snapshotListView = listView<Snapshot>({
  columns: snapshotColumns,
  name: ({ name }) => name,
});

export const snapshotView: View<Snapshot> = {
  text: (snapshot, page) =>
    renderDetails(
      [
        ["Name", snapshot.name],
        ["Of", snapshot.vm],
        ["Size", byteSize(snapshot.bytes)],
        ["Taken", snapshot.createdAt],
        ["Id", snapshot.id],
      ],
      page,
    ),
  names: ({ name }) => [name],
};

/** A VM with what it uses; null where it does not run. */
export interface VmUse {
  readonly vm: Vm;
  readonly stats: VmStats | null;
}

const use = (of: (stats: VmStats) => string) => (row: VmUse) =>
  row.stats === null ? "-" : of(row.stats);

export const vmTopView = listView<VmUse>({
  name: ({ vm }) => vm.name,
  columns: [
    { header: "NAME", text: ({ vm }) => vm.name, least: 12 },
    {
      header: "STATE",
      text: ({ vm }) => vm.state,
      style: ({ vm }, text, { paint }) => (text === vm.state ? paintState(paint, text) : text),
      drop: 5,
    },
    { header: "CPU", text: use(({ cpuShare }) => percent(cpuShare)), right: true },
    {
      header: "CPU TIME",
      text: use(({ cpuSeconds }) => duration(cpuSeconds)),
      right: true,
      drop: 4,
    },
    { header: "HELD", text: use(({ memoryMib }) => mebibytes(memoryMib)), right: true },
    {
      header: "USED",
      text: ({ vm, stats }) =>
        stats === null
          ? "-"
          : `${percent(stats.memoryShare)} of ${mebibytes(vm.resources.memoryMib)}`,
      right: true,
      drop: 2,
    },
    { header: "DISK", text: use(({ diskMib }) => mebibytes(diskMib)), right: true, drop: 8 },
    { header: "READ", text: use(({ readBytes }) => byteSize(readBytes)), right: true, drop: 9 },
    {
      header: "WRITTEN",
      text: use(({ writtenBytes }) => byteSize(writtenBytes)),
      right: true,
      drop: 9,
    },
    {
      header: "IN",
      text: use(({ receivedBytes }) => byteSize(receivedBytes)),
      right: true,
      drop: 7,
    },
    { header: "OUT", text: use(({ sentBytes }) => byteSize(sentBytes)), right: true, drop: 7 },
    {
      header: "UP",
      text: use(({ uptimeSeconds }) => duration(uptimeSeconds)),
      right: true,
      drop: 3,
    },
  ],
});

export const execView: View<ExecResult> = {
  text: ({ stdout }) => stdout,
  names: ({ exitCode, signal }) => [String(exitCode ?? signal)],
};
