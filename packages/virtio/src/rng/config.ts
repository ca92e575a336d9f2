import { ConfigSpace } from "../device.ts";

/** The entropy device has no configuration (virtio 1.2, 5.4.4). */
export class RngConfig extends ConfigSpace {
  constructor() {
    super(0);
  }
}
