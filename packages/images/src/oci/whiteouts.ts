import type { TarEntry } from "../tar/read-tar.ts";
import type { FileTree } from "../tree/file-tree.ts";
import { unpackTar } from "../tar/unpack-tar.ts";
import type { UnpackOptions } from "../tar/unpack-tar.ts";

const PREFIX = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * Applies a layer of a container image to the tree of those below it (OCI Image Format Specification,
 * "Image Layer Filesystem Changeset"): a whiteout removes what lower layers have under its name, an opaque
 * one all that they have in its directory; neither touches what the layer itself brings.
 * @throws as `unpackTar` does.
 */
export async function applyLayer(
  layer: AsyncIterable<Uint8Array>,
  tree: FileTree,
  options: Omit<UnpackOptions, "filter" | "overLink"> = {},
): Promise<void> {
  // Whiteouts may come after the layer's own files of the same name, which stay.
  const own = new Set<string>();
  const filter = (entry: TarEntry): boolean => {
    const path = entry.path.replace(/^(?:\.?\/+)*/, "").replace(/\/+$/, "");
    const slash = path.lastIndexOf("/");
    const folder = path.slice(0, Math.max(slash, 0));
    const name = path.slice(slash + 1);
    if (name === OPAQUE) {
      empty(tree, folder, own);
      return false;
    }
    if (name.startsWith(PREFIX)) {
      const gone = `${folder}/${name.slice(PREFIX.length)}`.replace(/^\//, "");
      // A name that is empty or climbs is refused where it is looked up.
      if (!own.has(gone) && gone !== "") tree.remove(gone);
      return false;
    }
    for (let at = path.length; at > 0; at = path.lastIndexOf("/", at - 1)) {
      own.add(path.slice(0, at));
    }
    return true;
  };
  await unpackTar(layer, tree, { ...options, filter, overLink: "replace" });
}

/** Removes what lower layers have in a directory, at any depth. */
function empty(tree: FileTree, folder: string, own: ReadonlySet<string>): void {
  const node = tree.find(folder);
  if (node?.type !== "directory") return;
  for (const [name, child] of node.children) {
    const path = folder === "" ? name : `${folder}/${name}`;
    if (!own.has(path)) node.children.delete(name);
    else if (child.type === "directory") empty(tree, path, own);
  }
}
