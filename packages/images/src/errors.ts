import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const imagesErrors = {
  QZ_IMAGES_BAD_PACKAGE: {
    status: "invalid",
    message: "{what} is no Debian package that can be read: {reason}; fetch it again",
  },
  QZ_IMAGES_BAD_MODULE: {
    status: "invalid",
    message: "{module} is no kernel module that can be read: {reason}",
  },
  QZ_IMAGES_MODULE_MISSING: {
    status: "not-found",
    message: "the kernel package {package} has no module {modules}: choose another kernel",
  },
  QZ_IMAGES_MODULE_CYCLE: {
    status: "invalid",
    message: "the kernel modules {modules} depend on each other in a circle",
  },
  QZ_IMAGES_BAD_INDEX: {
    status: "invalid",
    message: "the package index of {source} cannot be used: {reason}",
  },
  QZ_IMAGES_UNAVAILABLE: {
    status: "unavailable",
    message:
      "{package} cannot be had: {reason}; connect to a Debian mirror, or name one with the mirrors option or QUEZTL_DEBIAN_MIRRORS",
  },
  QZ_IMAGES_CHECKSUM: {
    status: "invalid",
    message:
      "{what} has the SHA-256 {actual} instead of {expected}: the mirror or the network altered it",
  },
  QZ_IMAGES_HOME: {
    status: "unavailable",
    message:
      "the image cache {path} cannot be used ({reason}): set QUEZTL_HOME to a folder you own",
  },
  QZ_IMAGES_BAD_PATH: {
    status: "invalid",
    message: "{path} cannot be a file of an image: {reason}",
  },
  QZ_IMAGES_BAD_FILE: { status: "invalid", message: "{path} cannot be stored: {reason}" },
  QZ_IMAGES_BAD_DISK: { status: "invalid", message: "the disk cannot be made: {reason}" },
  QZ_IMAGES_DISK_FULL: {
    status: "exhausted",
    message: "the files do not fit on a disk of {size} bytes: ask for at least {needed}",
  },
  QZ_IMAGES_BAD_ARCHIVE: {
    status: "invalid",
    message: "the archive cannot be unpacked: {reason}",
  },
  QZ_IMAGES_BAD_LAYOUT: {
    status: "invalid",
    message: "the OCI layout cannot be used: {reason}",
  },
  QZ_IMAGES_TOO_LARGE: {
    status: "exhausted",
    message: "{what} holds more than {limit}: raise the limits if it can be trusted",
  },
  QZ_IMAGES_UNRESOLVED: {
    status: "not-found",
    message: "the package {package} cannot be installed: {reason}",
  },
  QZ_IMAGES_BAD_NAME: {
    status: "invalid",
    message: "an image cannot be named {name}: {reason}",
  },
  QZ_IMAGES_NO_IMAGE: {
    status: "not-found",
    message: "there is no image {name}: import it, or use one of these: {known}",
  },
  QZ_IMAGES_EXISTS: {
    status: "conflict",
    message: "there is an image {name}: remove it first, or ask for it to be replaced",
  },
  QZ_IMAGES_DAMAGED: {
    status: "invalid",
    message:
      "the disk {path} of the image {name} was altered: remove the image and import it again",
  },
  QZ_IMAGES_CANCELLED: { status: "cancelled", message: "building the image was cancelled" },
  QZ_IMAGES_USAGE: {
    status: "invalid",
    message: "{problem}; see queztl-images --help",
  },
} as const satisfies ErrorCatalogue;

export const imagesError = defineErrors(imagesErrors);
