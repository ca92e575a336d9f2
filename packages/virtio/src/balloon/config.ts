import { ConfigSpace } from "../device.ts";

/** Feature bits of the balloon (virtio 1.2, 5.5.3). */
export const BalloonFeature = {
  MustTellHost: 1n << 0n,
  Statistics: 1n << 1n,
  DeflateOnOom: 1n << 2n,
  PageReporting: 1n << 5n,
} as const;

/** The unit of the balloon, whatever the guest's pages are. */
export const BALLOON_PAGE = 4096;

/** What the guest tells of its memory, by tag (virtio 1.2, 5.5.6.3). */
export const STATISTICS = [
  "swappedInBytes",
  "swappedOutBytes",
  "majorFaults",
  "minorFaults",
  "freeBytes",
  "totalBytes",
  "availableBytes",
  "diskCacheBytes",
  "hugePagesAllocated",
  "hugePagesFailed",
] as const;

const Offset = { Pages: 0, Actual: 4 } as const;

/** The balloon's configuration (virtio 1.2, 5.5.4): pages wanted by the host, pages given by the guest. */
export class BalloonConfig extends ConfigSpace {
  constructor(onActual: () => void) {
    super(16, (offset, bytes) => {
      if (offset !== Offset.Actual || bytes.length !== 4) return;
      this.bytes.set(bytes, Offset.Actual);
      onActual();
    });
  }

  get pages(): number {
    return this.view.getUint32(Offset.Pages, true);
  }

  set pages(pages: number) {
    this.view.setUint32(Offset.Pages, pages, true);
  }

  get actual(): number {
    return this.view.getUint32(Offset.Actual, true);
  }

  set actual(pages: number) {
    this.view.setUint32(Offset.Actual, pages, true);
  }
}
