import type { Flavour } from "./flavours.ts";
import type { DebianPackage } from "./package-index.ts";

const BUSYBOX: DebianPackage = {
  name: "busybox-static",
  version: "1:1.35.0-4+deb12u1+b1",
  sha256: "3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744",
  size: 928188,
  path: "pool/main/b/busybox/busybox-static_1.35.0-4+deb12u1+b1_amd64.deb",
  depends: [],
};

/** The two packages an image is made of. */
export interface ImagePackages {
  readonly kernel: DebianPackage;
  readonly busybox: DebianPackage;
}

/**
 * The packages of the default images: those of Debian 12's last point release, which its main archive
 * (and later the archive of old releases) keeps, where the security archive drops superseded versions.
 */
export const pinnedPackages: Readonly<Record<Flavour, ImagePackages>> = {
  cloud: {
    kernel: {
      name: "linux-image-6.1.0-50-cloud-amd64",
      version: "6.1.176-1",
      sha256: "efe19f605b6f54a8352e68d85a629abb2d30b72a085faef603a9152590baa791",
      size: 26484304,
      path: "pool/main/l/linux-signed-amd64/linux-image-6.1.0-50-cloud-amd64_6.1.176-1_amd64.deb",
      depends: [],
    },
    busybox: BUSYBOX,
  },
  generic: {
    kernel: {
      name: "linux-image-6.1.0-50-amd64",
      version: "6.1.176-1",
      sha256: "7b5597492a0a65aee61985a492e6bcc3f2cde830072a0e3b3d8c7e1b90279bd3",
      size: 70305560,
      path: "pool/main/l/linux-signed-amd64/linux-image-6.1.0-50-amd64_6.1.176-1_amd64.deb",
      depends: [],
    },
    busybox: BUSYBOX,
  },
  i386: {
    kernel: {
      name: "linux-image-6.1.0-50-686-pae",
      version: "6.1.176-1",
      sha256: "0d6241268f9344a998c3339c11e527ea8048d409d6c770f67c573707606a3f2e",
      size: 52136644,
      path: "pool/main/l/linux-signed-i386/linux-image-6.1.0-50-686-pae_6.1.176-1_i386.deb",
      depends: [],
    },
    busybox: {
      name: "busybox-static",
      version: "1:1.35.0-4+deb12u1+b1",
      sha256: "725ef9e6fbac4ab79b353165b05005e8c140d6e42177ebbc202ff1e13ded8b7c",
      size: 958344,
      path: "pool/main/b/busybox/busybox-static_1.35.0-4+deb12u1+b1_i386.deb",
      depends: [],
    },
  },
};
