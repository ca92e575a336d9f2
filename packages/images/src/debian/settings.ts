import type { FileTree } from "../tree/file-tree.ts";

/** Symbolic links that update-alternatives would make; each where its target is there and it is not. */
const ALTERNATIVES: readonly (readonly [link: string, target: string])[] = [
  ["usr/bin/sh", "dash"],
  ["usr/bin/awk", "mawk"],
  ["usr/bin/which", "which.debianutils"],
  ["usr/bin/pager", "more"],
  ["usr/lib/x86_64-linux-gnu/libblas.so.3", "openblas-pthread/libblas.so.3"],
  ["usr/lib/x86_64-linux-gnu/liblapack.so.3", "openblas-pthread/liblapack.so.3"],
  ["usr/lib/x86_64-linux-gnu/libopenblas.so.0", "openblas-pthread/libopenblas.so.0"],
];

/** Files that maintainer scripts would copy into place. */
const COPIES: readonly (readonly [from: string, to: string])[] = [
  ["usr/share/base-files/profile", "etc/profile"],
  ["usr/share/base-files/motd", "etc/motd"],
  ["usr/share/base-files/dot.bashrc", "root/.bashrc"],
  ["usr/share/base-files/dot.profile", "root/.profile"],
  ["usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"],
  ["usr/share/base-passwd/passwd.master", "etc/passwd"],
  ["usr/share/base-passwd/group.master", "etc/group"],
];

/** Directories and links that base-files makes when it is configured. */
const DIRECTORIES: readonly string[] = ["media", "mnt", "opt", "srv", "etc/opt", "var/opt"];
const LINKS: readonly (readonly [link: string, target: string])[] = [
  ["etc/dpkg/origins/default", "debian"],
  ["var/lock", "/run/lock"],
  ["var/run", "/run"],
];

/** Documentation is left out, as Debian's own small images do; licences stay. */
const DPKG_SETTINGS = `path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
`;

/** Whether dpkg would leave a path out under those settings. */
export function isLeftOut(path: string): boolean {
  if (/^usr\/share\/(?:info|lintian|locale|man)\/./.test(path)) return true;
  return /^usr\/share\/doc\/[^/]+\/./.test(path) && !path.endsWith("/copyright");
}

const FILES: readonly {
  readonly path: string;
  readonly content: string;
  readonly mode?: number;
}[] = [
  { path: "etc/hostname", content: "queztl\n" },
  { path: "etc/hosts", content: "127.0.0.1 localhost queztl\n::1 localhost\n" },
  { path: "etc/resolv.conf", content: "" },
  { path: "etc/fstab", content: "# The root is mounted before this is read.\n" },
  // Empty: whoever starts the machine gives it its own.
  { path: "etc/machine-id", content: "" },
  { path: "etc/inittab", content: "" },
  {
    path: "etc/apt/sources.list",
    content: "# No source is set: name a Debian mirror here to install packages.\n",
  },
  { path: "etc/dpkg/dpkg.cfg.d/queztl", content: DPKG_SETTINGS },
  { path: "etc/shadow", content: "root:*:19700:0:99999:7:::\n", mode: 0o640 },
  { path: "etc/gshadow", content: "root:*::\n", mode: 0o640 },
  { path: "etc/default/locale", content: "LANG=C.UTF-8\n" },
];

/** A merged /usr: the directories of old are links before the first package is unpacked. */
export function prepareUsr(tree: FileTree): void {
  for (const name of ["bin", "lib", "lib64", "sbin"]) {
    tree.add(`usr/${name}`, { type: "directory" });
    tree.add(name, { type: "symlink", target: `usr/${name}` });
  }
}

/** Does what a system cannot be without of what the packages' maintainer scripts do. */
export function settle(tree: FileTree, mtime: number): void {
  for (const [link, target] of ALTERNATIVES) {
    const folder = link.slice(0, link.lastIndexOf("/"));
    if (tree.find(`${folder}/${target}`) && !tree.find(link, { followLast: false })) {
      tree.add(link, { type: "symlink", target, mtime });
    }
  }
  for (const path of DIRECTORIES) {
    if (!tree.find(path)) tree.add(path, { type: "directory", mtime });
  }
  for (const [link, target] of LINKS) tree.add(link, { type: "symlink", target, mtime });
  for (const [from, to] of COPIES) {
    const node = tree.find(from);
    if (node?.type === "file") tree.add(to, { content: node.content, mtime });
  }
  for (const { path, content, mode = 0o644 } of FILES) {
    // The group that may read passwords is 42 in every Debian.
    const gid = mode === 0o640 ? 42 : 0;
    tree.add(path, { content, mode, gid, mtime });
  }
}
