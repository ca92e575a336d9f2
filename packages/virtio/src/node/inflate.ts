import { inflateRaw } from "node:zlib";
import type { Inflate } from "../block/qcow2/qcow2-disk.ts";

/** Expands compressed clusters of qcow2 images in Node's thread pool. */
export const nodeInflate: Inflate = (compressed, bytes) =>
  new Promise((resolve, reject) => {
    inflateRaw(compressed, { maxOutputLength: bytes }, (error, result) => {
      if (error) reject(error);
      else resolve(result);
    });
  });
