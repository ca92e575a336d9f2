import type { DebFile } from "../deb.ts";
import type { FileTree } from "../tree/file-tree.ts";

const INFO = "var/lib/dpkg/info";
const utf8 = new TextDecoder();

/** What dpkg keeps of a package. */
export interface DpkgRecord {
  /** The files of its control archive: "control", "postinst", "md5sums". */
  readonly control: readonly DebFile[];
  /** Paths it has put in place, as its archive has them without "./" and "/" around them. */
  readonly paths: readonly string[];
}

/**
 * Writes dpkg's database for packages that were unpacked and not configured: their maintainer scripts
 * have not run, and `dpkg --configure -a` in the guest runs them.
 */
export function writeDpkgDatabase(
  tree: FileTree,
  records: readonly DpkgRecord[],
  mtime: number,
): void {
  const paragraphs: string[] = [];
  for (const { control, paths } of records) {
    const text = (name: string) => utf8.decode(control.find(({ path }) => path === name)?.data);
    const paragraph = text("control").trimEnd();
    const field = (name: string) => new RegExp(`^${name}: *(.*)$`, "m").exec(paragraph)?.[1];
    const architecture = field("Multi-Arch") === "same" ? `:${field("Architecture")}` : "";
    const base = `${INFO}/${field("Package")}${architecture}`;
    const list = ["/.", ...paths.map((path) => `/${path}`)].join("\n");
    tree.add(`${base}.list`, { content: `${list}\n`, mtime });
    for (const { path, data } of control) {
      if (path === "control") continue;
      const mode = /^(?:pre|post)(?:inst|rm)$|^config$/.test(path) ? 0o755 : 0o644;
      tree.add(`${base}.${path}`, { content: data, mode, mtime });
    }
    const conffiles = text("conffiles")
      .split("\n")
      .filter((line) => line.startsWith("/"))
      .map((line) => `\n ${line} newconffile`);
    const lines = paragraph.split("\n");
    lines.splice(1, 0, "Status: install ok unpacked");
    if (conffiles.length > 0) lines.push(`Conffiles:${conffiles.join("")}`);
    paragraphs.push(`${lines.join("\n")}\n`);
  }
  tree.add(`${INFO}/format`, { content: "1\n", mtime });
  tree.add("var/lib/dpkg/status", { content: paragraphs.join("\n"), mtime });
  for (const name of ["available", "diversions", "statoverride"]) {
    tree.add(`var/lib/dpkg/${name}`, { mtime });
  }
  for (const name of ["alternatives", "parts", "triggers", "updates"]) {
    tree.add(`var/lib/dpkg/${name}`, { type: "directory", mtime });
  }
}
