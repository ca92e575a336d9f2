import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws or hands to `onFault`. */
export const virtioErrors = {
  QZ_VIRTIO_RING: {
    status: "guest",
    message: "queue {queue}: {reason}; the driver must reset the device",
  },
  QZ_VIRTIO_CHAIN: {
    status: "guest",
    message: "queue {queue}: descriptor chain refused, {reason}; the driver must reset the device",
  },
  QZ_VIRTIO_REGISTER: {
    status: "guest",
    message: "the driver wrote {register} when it must not: {reason}",
  },
  QZ_VIRTIO_REQUEST: {
    status: "guest",
    message: "{device}: request refused, {reason}; the driver must reset the device",
  },
  QZ_VIRTIO_STATE: {
    status: "invalid",
    message: "this is not the saved state of a {device} of this shape: {reason}",
  },
  QZ_VIRTIO_OPTIONS: {
    status: "invalid",
    message: "{option} cannot be {value}: {reason}",
  },
  QZ_VIRTIO_DEVICE: {
    status: "internal",
    message: "{device} failed and was stopped until the driver resets it: see the cause",
  },
  QZ_VIRTIO_CLOSED: {
    status: "unavailable",
    message: "{what} is closed: open it again before using it",
  },
  QZ_VIRTIO_DISK_IO: {
    status: "unavailable",
    message: "{what}: the host could not {operation}: see the cause",
  },
  QZ_VIRTIO_IMAGE: {
    status: "invalid",
    message: "this qcow2 image cannot be used: {reason}",
  },
  QZ_VIRTIO_IMAGE_BACKING: {
    status: "forbidden",
    message:
      "this qcow2 image names the backing file {backing}: pass the opened backing disk yourself, names inside images are never followed",
  },
  QZ_VIRTIO_VSOCK_REFUSED: {
    status: "unavailable",
    message: "the guest refused a connection to vsock port {port}: is its service listening?",
  },
  QZ_VIRTIO_VSOCK_TIMEOUT: {
    status: "timeout",
    message: "the guest did not answer on vsock port {port} within {milliseconds} ms",
  },
  QZ_VIRTIO_NET_LISTEN: {
    status: "conflict",
    message:
      "the host does not let us listen on {place}: choose a free port above 1023, or a path that is not in use",
  },
  QZ_VIRTIO_NET_FRAME: {
    status: "invalid",
    message: "the framed stream holds a frame of {length} bytes: frames are 14 to {most} bytes",
  },
} as const satisfies ErrorCatalogue;

/** Builds this package's errors. */
export const virtioError = defineErrors(virtioErrors);
