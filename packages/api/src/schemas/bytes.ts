import { z } from "zod";
import { LARGEST_CHUNK } from "../limits.ts";

const longestBase64 = Math.ceil(LARGEST_CHUNK / 3) * 4;

/** Bytes as base64 (RFC 4648, 4, padded); checked in time linear in its length. */
export const base64 = z
  .string()
  .max(longestBase64)
  .refine((value) => value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value), {
    error: "must be padded base64",
  })
  .meta({ contentEncoding: "base64" });

/** SHA-256 in lower-case hexadecimal. */
export const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, { error: "must be 64 hexadecimal digits" });

/** A part of a file. */
export const fileChunk = z
  .object({
    data: base64.describe("The bytes from `offset` on, as base64"),
    offset: z.int().min(0).describe("Where the bytes begin in the file"),
    bytes: z.int().min(0).describe("The size of the whole file"),
  })
  .meta({ id: "FileChunk", description: "A part of a file; the last one reaches `bytes`" });

/** Which part of a file to read. */
export const chunkRange = {
  offset: z.int().min(0).max(1_125_899_906_842_624).default(0).describe("Where to begin, in bytes"),
  length: z
    .int()
    .min(1)
    .max(LARGEST_CHUNK)
    .default(LARGEST_CHUNK)
    .describe("How many bytes at most"),
};
