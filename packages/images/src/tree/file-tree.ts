import { imagesError } from "../errors.ts";
import { nodeProblem } from "./check-node.ts";
import { makeNode } from "./node.ts";
import type { DirectoryNode, TreeInput, TreeNode } from "./node.ts";
import { pathNames } from "./path.ts";

/** Symbolic links followed on one path before it is taken for a circle, as Linux does. */
const LINKS_MAX = 40;

/** How to add. */
export interface AddOptions {
  /**
   * What a directory does where a symbolic link to a directory is: "keep" (the default) the link, as dpkg
   * does for a merged /usr, or "replace" it, as a layer of a container image does.
   */
  readonly overLink?: "keep" | "replace";
}

/** One name of a tree with what it leads to. */
export interface WalkEntry {
  /** Relative to the root, without "/" at the beginning; the root itself is "". */
  readonly path: string;
  readonly node: TreeNode;
}

/**
 * A file system's files in memory: names, attributes and where each file's bytes are. Paths are resolved as
 * a guest whose root this is would: symbolic links in the middle of a path are followed and never lead out.
 */
export class FileTree {
  readonly root = makeNode({ type: "directory" }) as DirectoryNode;

  /**
   * Adds a file, replacing what has its name; a directory over a directory changes its attributes only.
   * Missing parents are made (root's, 0755).
   * @throws QZ_IMAGES_BAD_PATH for a path that climbs, has a zero byte or a name that is too long, or leads
   * through a file; QZ_IMAGES_BAD_FILE for attributes that no disk holds.
   */
  add(path: string, input: TreeInput, options: AddOptions = {}): void {
    const node = makeNode(input);
    const problem = nodeProblem(node);
    if (problem !== undefined) throw imagesError("QZ_IMAGES_BAD_FILE", { path, reason: problem });
    const names = pathNames(path);
    const name = names.pop();
    if (name === undefined) {
      if (node.type !== "directory") throw badPath(path, "only a directory can be the root");
      copyAttributes(this.root, node);
      return;
    }
    const { children } = this.#directory(names, path);
    const there = children.get(name);
    if (node.type === "directory" && there) {
      const target =
        there.type === "symlink" && options.overLink !== "replace"
          ? this.find([...names, name].join("/"))
          : there;
      if (target?.type === "directory") {
        if (target === there) copyAttributes(target, node);
        return;
      }
    }
    children.set(name, node);
  }

  /**
   * Gives a file a second name (a hard link); the attributes are the file's.
   * @throws QZ_IMAGES_BAD_PATH where `target` is not there or is a directory, and as `add` does.
   */
  link(path: string, target: string): void {
    const node = this.find(target, { followLast: false });
    if (!node) throw badPath(path, `it links to ${target}, which is not there`);
    if (node.type === "directory") throw badPath(path, `it links to the directory ${target}`);
    const names = pathNames(path);
    const name = names.pop();
    if (name === undefined) throw badPath(path, "only a directory can be the root");
    this.#directory(names, path).children.set(name, node);
  }

  /** Removes a name and all below it; false when it was not there. */
  remove(path: string): boolean {
    const names = pathNames(path);
    const name = names.pop();
    if (name === undefined) throw badPath(path, "the root cannot be removed");
    const parent = this.find(names.join("/"));
    return parent?.type === "directory" && parent.children.delete(name);
  }

  /** What a path leads to, or undefined; a symbolic link at its end is followed unless told otherwise. */
  find(path: string, options: { followLast?: boolean } = {}): TreeNode | undefined {
    return this.#resolve(pathNames(path), path, options.followLast ?? true);
  }

  /** Every name, parents before children and otherwise in the order of the names, whatever was added first. */
  *walk(): Generator<WalkEntry> {
    const stack: WalkEntry[] = [{ path: "", node: this.root }];
    for (let entry = stack.pop(); entry; entry = stack.pop()) {
      yield entry;
      if (entry.node.type !== "directory") continue;
      const prefix = entry.path === "" ? "" : `${entry.path}/`;
      for (const [name, node] of sortedChildren(entry.node).toReversed()) {
        stack.push({ path: prefix + name, node });
      }
    }
  }

  /** The directory at the end of `names`, made where it is missing. */
  #directory(names: readonly string[], path: string): DirectoryNode {
    const node = this.#resolve(names, path, true, true);
    if (node?.type !== "directory")
      throw badPath(path, "it leads through something that is no directory");
    return node;
  }

  #resolve(
    names: readonly string[],
    path: string,
    followLast: boolean,
    make = false,
  ): TreeNode | undefined {
    // The directories from the root to where we are, for the ".." of symbolic links.
    const way: DirectoryNode[] = [this.root];
    const rest = names.toReversed();
    let links = 0;
    let node: TreeNode = this.root;
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      const directory = way.at(-1);
      if (!directory) return undefined;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (way.length > 1) way.pop();
        node = way.at(-1) ?? this.root;
        continue;
      }
      let child = directory.children.get(name);
      if (!child && make) {
        child = makeNode({ type: "directory" });
        directory.children.set(name, child);
      }
      if (!child) return undefined;
      if (child.type === "symlink" && (rest.length > 0 || followLast)) {
        if (++links > LINKS_MAX) throw badPath(path, "too many symbolic links follow each other");
        if (child.target.startsWith("/")) way.length = 1;
        node = way.at(-1) ?? this.root;
        rest.push(...child.target.split("/").toReversed());
        continue;
      }
      node = child;
      if (child.type === "directory") way.push(child);
      else if (rest.length > 0) return undefined;
    }
    return node;
  }
}

/** The children of a directory in the order of their names. */
export function sortedChildren(directory: DirectoryNode): [string, TreeNode][] {
  return [...directory.children].sort(([a], [b]) => (a < b ? -1 : 1));
}

function copyAttributes(to: TreeNode, from: TreeNode): void {
  to.mode = from.mode;
  to.uid = from.uid;
  to.gid = from.gid;
  to.mtime = from.mtime;
  to.xattrs = from.xattrs;
}

function badPath(path: string, reason: string) {
  return imagesError("QZ_IMAGES_BAD_PATH", { path: JSON.stringify(path.slice(0, 300)), reason });
}
