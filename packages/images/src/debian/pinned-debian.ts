import { imagesError } from "../errors.ts";
import type { DebianPackage } from "../package-index.ts";
import { PINNED_IMAGES, PINNED_PACKAGES } from "./pinned-packages.ts";
import type { DebianImageName } from "./recipes.ts";

/** The packages that a Debian disk image is made of by default, in the order of their names. */
export function pinnedDebian(image: DebianImageName): DebianPackage[] {
  const all = new Map(
    PINNED_PACKAGES.trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf(" ")), line]),
  );
  return PINNED_IMAGES[image].split(" ").map((wanted) => {
    const [name, version, size, sha256, path] = all.get(wanted)?.split(" ") ?? [];
    if (!name || !version || !sha256 || !path) {
      throw imagesError("QZ_IMAGES_BAD_INDEX", { source: "the pins", reason: `${wanted} is odd` });
    }
    return { name, version, size: Number(size), sha256, path, depends: [] };
  });
}
