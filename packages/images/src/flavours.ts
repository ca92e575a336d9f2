/**
 * The kernels an image can be made with: Debian's small cloud kernel, the generic one with a display, or the generic 32-bit one
 * (for 686 with PAE), whose image has a 32-bit busybox and no guest agent.
 */
export type Flavour = "cloud" | "generic" | "i386";

/** What an image of a flavour is made of. */
export interface FlavourRecipe {
  /** The Debian package that depends on the newest kernel of this flavour. */
  readonly metaPackage: string;
  /** Modules the initramfs carries, with all they depend on; one that the kernel has built in is no loss. */
  readonly modules: readonly string[];
  /** What they are known to depend on: only a hint, with which one pass over the package finds all. */
  readonly dependencies: readonly string[];
}

const MODULES = [
  "virtio_pci",
  "virtio_mmio",
  "virtio_blk",
  "virtio_net",
  "virtio_console",
  "virtio_rng",
  "virtio_balloon",
  "virtio_mem",
  "virtio_input",
  "vmw_vsock_virtio_transport",
  "virtiofs",
  "nvme",
  "ext4",
  "crc32c_generic",
  "overlay",
  "squashfs",
  "loop",
  // Tells the hypervisor of a kernel panic.
  "pvpanic_mmio",
  // The ACPI power button reaches acpid as an input device.
  "button",
  "evdev",
] as const;

const DEPENDENCIES = [
  "virtio",
  "virtio_ring",
  "virtio_pci_modern_dev",
  "virtio_pci_legacy_dev",
  "failover",
  "net_failover",
  "vsock",
  "vmw_vsock_virtio_transport_common",
  "fuse",
  "pvpanic",
  "nvme_core",
  "t10_pi",
  "crc64_rocksoft",
  "crc64",
  "crc_t10dif",
  "crct10dif_common",
  "crc16",
  "mbcache",
  "jbd2",
  "drm",
  "drm_kms_helper",
  "drm_shmem_helper",
  "virtio_dma_buf",
] as const;

/** The recipes of all flavours. */
export const flavours: Readonly<Record<Flavour, FlavourRecipe>> = {
  cloud: {
    metaPackage: "linux-image-cloud-amd64",
    modules: MODULES,
    dependencies: DEPENDENCIES,
  },
  generic: {
    metaPackage: "linux-image-amd64",
    modules: [...MODULES, "virtio_gpu"],
    dependencies: DEPENDENCIES,
  },
  i386: {
    metaPackage: "linux-image-686-pae",
    // Hot-plugged memory is there in 64-bit kernels only.
    modules: MODULES.filter((name) => name !== "virtio_mem"),
    dependencies: DEPENDENCIES,
  },
};

/** The package with the statically linked busybox. */
export const BUSYBOX_PACKAGE = "busybox-static";
