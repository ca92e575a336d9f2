import { asDebErrors, openDeb, readDeb } from "../deb.ts";
import { unpackTar } from "../tar/unpack-tar.ts";
import type { ContentStore } from "../tar/unpack-tar.ts";
import { FileTree } from "../tree/file-tree.ts";
import { writeDpkgDatabase } from "./dpkg-database.ts";
import type { DpkgRecord } from "./dpkg-database.ts";
import { isLeftOut, prepareUsr, settle } from "./settings.ts";

/** A package to unpack; its bytes are asked for when its turn comes. */
export interface DebToUnpack {
  readonly name: string;
  readonly bytes: () => Promise<Uint8Array>;
}

/** How to unpack. */
export interface DebianTreeOptions {
  /** Where contents are kept; default in memory. */
  readonly store?: ContentStore;
  readonly signal?: AbortSignal | undefined;
  /** Called before each package. */
  readonly onPackage?: (name: string) => void;
}

/**
 * Makes a Debian root file system with a merged /usr by unpacking packages one over the other. No
 * maintainer script runs: dpkg's database says "unpacked", and the settings that a system cannot be
 * without are put there. Documentation other than licences is left out.
 * @throws QZ_IMAGES_BAD_PACKAGE, QZ_IMAGES_BAD_PATH, QZ_IMAGES_BAD_FILE, QZ_IMAGES_TOO_LARGE
 */
export async function debianTree(
  debs: Iterable<DebToUnpack>,
  options: DebianTreeOptions = {},
): Promise<FileTree> {
  const { store, signal, onPackage = () => undefined } = options;
  const tree = new FileTree();
  prepareUsr(tree);
  const records: DpkgRecord[] = [];
  let newest = 0;
  for (const { name, bytes } of debs) {
    signal?.throwIfAborted();
    onPackage(name);
    const deb = await bytes();
    const paths: string[] = [];
    const control = await readDeb(deb, () => true, { signal, part: "control" });
    await asDebErrors(signal, async () =>
      unpackTar(await openDeb(deb, "data"), tree, {
        ...(store && { store }),
        signal,
        filter: ({ path, mtime }) => {
          const plain = path.replace(/^\.?\/+/, "").replace(/\/+$/, "");
          if (plain !== "" && plain !== ".") paths.push(plain);
          if (isLeftOut(plain)) return false;
          newest = Math.max(newest, mtime);
          return true;
        },
      }),
    );
    records.push({ control, paths });
  }
  settle(tree, newest);
  writeDpkgDatabase(tree, records, newest);
  return tree;
}
