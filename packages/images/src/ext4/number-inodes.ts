import { imagesError } from "../errors.ts";
import type { DirectoryNode, TreeNode } from "../tree/node.ts";
import { sortedChildren } from "../tree/file-tree.ts";
import type { FileTree } from "../tree/file-tree.ts";
import { LINKS_MAX, RESERVED_INODES } from "./format.ts";

/** A file of the tree with its place among the inodes. */
export interface NumberedNode {
  readonly node: TreeNode;
  readonly inode: number;
  /** One of its paths, for errors. */
  readonly path: string;
  /** Names that lead to it. */
  links: number;
}

/** A directory with the inode of its parent. */
export interface NumberedDirectory extends NumberedNode {
  readonly node: DirectoryNode;
  readonly parent: number;
}

/** All files of a tree with their inode numbers. */
export interface InodeNumbers {
  readonly byNode: ReadonlyMap<TreeNode, NumberedNode>;
  /** In the order of their numbers. */
  readonly directories: readonly NumberedDirectory[];
  readonly others: readonly NumberedNode[];
  /** The highest number given. */
  readonly last: number;
}

/** The directory that e2fsck wants for files it finds without a name. */
export const LOST_AND_FOUND = "lost+found";

/**
 * Numbers the files: the root has its own number, lost+found the first, then directories and after them
 * everything else, so that a directory's neighbours on the disk are directories.
 * @throws QZ_IMAGES_BAD_FILE for a file with too many names, and for a lost+found that is no directory.
 */
export function numberInodes(tree: FileTree): InodeNumbers {
  const byNode = new Map<TreeNode, NumberedNode>();
  const directories: NumberedDirectory[] = [];
  const files: { node: TreeNode; path: string }[] = [];
  let next: number = RESERVED_INODES.first;
  const addDirectory = (node: DirectoryNode, path: string, inode: number, parent: number) => {
    const numbered = { node, inode, path, links: 2, parent };
    byNode.set(node, numbered);
    directories.push(numbered);
    return numbered;
  };
  addDirectory(tree.root, "/", RESERVED_INODES.root, RESERVED_INODES.root);
  const lost = tree.root.children.get(LOST_AND_FOUND);
  if (lost?.type !== "directory") {
    const reason = "the disk needs a directory of this name";
    throw imagesError("QZ_IMAGES_BAD_FILE", { path: LOST_AND_FOUND, reason });
  }
  const lostInode = next++;
  // Breadth first; a directory is numbered when its parent is looked into.
  for (let at = 0; at < directories.length; at++) {
    const directory = directories[at] as NumberedDirectory;
    const prefix = directory.path === "/" ? "/" : `${directory.path}/`;
    for (const [name, node] of sortedChildren(directory.node)) {
      if (node.type === "directory") {
        const inode = node === lost ? lostInode : next++;
        addDirectory(node, prefix + name, inode, directory.inode);
        directory.links++;
      } else {
        files.push({ node, path: prefix + name });
      }
    }
  }
  const others: NumberedNode[] = [];
  for (const { node, path } of files) {
    const known = byNode.get(node);
    if (known) {
      known.links++;
      continue;
    }
    const numbered = { node, inode: next++, path, links: 1 };
    byNode.set(node, numbered);
    others.push(numbered);
  }
  const crowded = others.find(({ links }) => links > LINKS_MAX);
  if (crowded) {
    const reason = `it has ${crowded.links} names, more than ${LINKS_MAX}`;
    throw imagesError("QZ_IMAGES_BAD_FILE", { path: crowded.path, reason });
  }
  return { byNode, directories, others, last: next - 1 };
}
