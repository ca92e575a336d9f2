import type { ClusterNode, Image, Setting, Stats, StoredFile } from "../resources.ts";
import { renderDetails } from "./details.ts";
import { listView } from "./list-view.ts";
import { paintState } from "./paint.ts";
import { printableLine } from "./printable.ts";
import { age, byteSize, duration, mebibytes, percent } from "./units.ts";
import type { View } from "./view.ts";

const nodeState = ({ state, cordoned }: ClusterNode): string =>
  cordoned && state === "ready" ? "cordoned" : state;

export const nodeListView = listView<ClusterNode>({
  name: ({ name }) => name,
  columns: [
    { header: "NAME", text: ({ name }) => name, least: 10 },
    {
      header: "STATE",
      text: nodeState,
      style: (node, text, { paint }) => (text === nodeState(node) ? paintState(paint, text) : text),
    },
    {
      header: "CPU",
      text: ({ used, capacity }) => `${used.cpu}/${capacity.cpu}`,
      right: true,
      drop: 3,
    },
    {
      header: "MEMORY",
      text: ({ used, capacity }) => `${mebibytes(used.memoryMib)}/${mebibytes(capacity.memoryMib)}`,
      right: true,
      drop: 4,
    },
    { header: "VMS", text: ({ vms }) => String(vms), right: true, drop: 2 },
    { header: "ENGINES", text: ({ engines }) => engines.join(",") || "-", drop: 5 },
    { header: "SEEN", text: ({ lastSeenAt }, { now }) => `${age(lastSeenAt, now)} ago`, drop: 6 },
    { header: "VERSION", text: ({ version }) => printableLine(version), wide: true, drop: 7 },
    { header: "ID", text: ({ id }) => id, wide: true, least: 8, drop: 8 },
  ],
});

export const nodeView: View<ClusterNode> = {
  text: (node, page) =>
    renderDetails(
      [
        ["Name", node.name],
        ["State", paintState(page.paint, nodeState(node))],
        ["Engines", node.engines.join(", ") || "none"],
        ["CPU", `${node.used.cpu} of ${node.capacity.cpu} given away`],
        [
          "Memory",
          `${mebibytes(node.used.memoryMib)} of ${mebibytes(node.capacity.memoryMib)} given away`,
        ],
        [
          "Disk",
          `${mebibytes(node.used.diskMib)} of ${mebibytes(node.capacity.diskMib)} given away`,
        ],
        ["GPUs", node.capacity.gpu === 0 ? undefined : `${node.used.gpu} of ${node.capacity.gpu}`],
        ["VMs", String(node.vms)],
        ["Version", printableLine(node.version)],
        ["Last seen", `${age(node.lastSeenAt, page.now)} ago`],
        ["Added", node.addedAt],
        ["Id", node.id],
      ],
      page,
    ),
  names: ({ name }) => [name],
};

const imageState = ({ state, progress, createdAt }: Image): string => {
  if (state === "building") return `building ${percent(progress)}`;
  return state === "ready" && createdAt === null ? "not made yet" : state;
};

export const imageListView = listView<Image>({
  name: ({ name }) => name,
  columns: [
    {
      header: "NAME",
      text: ({ name, default: standard }) => (standard ? `${name} *` : name),
      least: 10,
    },
    {
      header: "STATE",
      text: (image) => imageState(image),
      style: ({ state }, text, { paint }) =>
        text.startsWith(state) ? paintState(paint, state) + text.slice(state.length) : text,
    },
    { header: "KERNEL", text: ({ kernel }) => kernel ?? "-", wide: true, least: 8, drop: 4 },
    { header: "SIZE", text: ({ bytes }) => byteSize(bytes), right: true, drop: 3 },
    { header: "TEMPLATES", text: ({ templates }) => String(templates), right: true, drop: 5 },
    { header: "AGE", text: ({ createdAt }, { now }) => age(createdAt, now), right: true, drop: 2 },
    { header: "ID", text: ({ id }) => id, wide: true, least: 8, drop: 6 },
  ],
});

export const imageView: View<Image> = {
  text: (image, page) =>
    renderDetails(
      [
        ["Name", image.default ? `${image.name} (used where none is given)` : image.name],
        ["State", imageState(image).replace(image.state, paintState(page.paint, image.state))],
        ["Problem", image.problem === null ? undefined : printableLine(image.problem.message)],
        ["Kernel", image.kernel ?? undefined],
        ["Size", byteSize(image.bytes)],
        ["Templates", String(image.templates)],
        [
          "Made",
          image.createdAt === null
            ? "when it is first needed"
            : `${age(image.createdAt, page.now)} ago (${image.createdAt})`,
        ],
        ["Id", image.id],
      ],
      page,
    ),
  names: ({ name }) => [name],
};

export const settingListView = listView<Setting>({
  name: ({ key }) => key,
  columns: [
    { header: "SETTING", text: ({ key }) => key, least: 16 },
    { header: "VALUE", text: ({ value }) => shown(value), least: 8 },
    { header: "FROM", text: ({ source }) => source, drop: 2 },
    {
      header: "WHAT IT DOES",
      text: ({ description }) => printableLine(description),
      least: 16,
      drop: 3,
    },
    { header: "DEFAULT", text: (setting) => shown(setting.default), wide: true, least: 8, drop: 4 },
    { header: "RESTART", text: ({ restart }) => (restart ? "needed" : "-"), wide: true, drop: 5 },
  ],
});

export const settingView: View<Setting> = {
  text: (setting, page) =>
    renderDetails(
      [
        ["Setting", setting.key],
        ["Value", shown(setting.value)],
        ["Default", shown(setting.default)],
        ["From", setting.source],
        ["What it does", printableLine(setting.description)],
        ["Takes effect", setting.restart ? "at the server's next start" : "at once"],
      ],
      page,
    ),
  names: ({ key }) => [key],
};

const shown = (value: string | number | boolean | null): string =>
  value === null ? "-" : printableLine(String(value));

const counted = (
  counts: Readonly<Record<string, number>>,
  page: Parameters<View<Stats>["text"]>[1],
) =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${paintState(page.paint, state)}`)
    .join(", ") || "none";

export const statsView: View<Stats> = {
  text: (stats, page) =>
    renderDetails(
      [
        ["Server", `version ${printableLine(stats.version)}, up ${duration(stats.uptimeSeconds)}`],
        ["Database", stats.database],
        ["VMs", counted(stats.vms, page)],
        ["Tasks", counted(stats.tasks, page)],
        ["Nodes", String(stats.nodes)],
        ["Images", `${stats.images} ready, ${stats.templates} templates`],
        ["Experiences", String(stats.experiences)],
        [
          "Host",
          `${stats.host.cpu} CPU (${percent(stats.host.cpuShare)} busy), ${mebibytes(stats.host.memoryMib)} memory (${percent(stats.host.memoryShare)} in use), ${mebibytes(stats.host.diskFreeMib)} of disk free`,
        ],
      ],
      page,
    ),
  names: ({ version }) => [version],
};

export const fileView: View<StoredFile> = {
  text: (file, page) =>
    renderDetails(
      [
        ["File", file.id],
        ["Name", printableLine(file.name)],
        ["Size", byteSize(file.bytes)],
        ["SHA-256", file.sha256 ?? undefined],
      ],
      page,
    ),
  names: ({ id }) => [id],
};
