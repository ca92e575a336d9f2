import { z } from "zod";
import { base64, chunkRange, sha256 } from "./bytes.ts";
import { bytes } from "./numbers.ts";
import { id, someText, text, time } from "./text.ts";

const file = { file: id.describe("The file's id") };

export const fileCreateInput = z.strictObject({
  name: someText(255).describe("A name for people; it becomes no path"),
  bytes: bytes.describe("Its size; writing ends there"),
  sha256: sha256.optional().describe("What SHA-256 its bytes must have"),
});

export const fileWriteInput = z.strictObject({
  ...file,
  offset: bytes.describe(
    "Where to write; must be `received`, so that a repeated call does no harm",
  ),
  data: base64.describe("The bytes, as base64"),
});

export const fileInput = z.strictObject(file);

export const fileReadInput = z.strictObject({ ...file, ...chunkRange });

/** A file on its way to or from the server. */
export const fileOutput = z
  .object({
    id: id.describe("Its id"),
    name: text(255).describe("Its name"),
    bytes: bytes.describe("Its size"),
    received: bytes.describe("How much of it is there, from the start"),
    sha256: sha256.nullable().describe("SHA-256 of its bytes, once all are there"),
    createdAt: time.describe("When it was begun"),
    expiresAt: time.describe("When it is deleted unless something uses it"),
  })
  .meta({ id: "File", description: "A file on its way to or from the server" });
