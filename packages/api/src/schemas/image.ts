import { z } from "zod";
import { bytes, count, share } from "./numbers.ts";
import { pageInput } from "./page.ts";
import { problem } from "./problem.ts";
import { id, imageReference, name, text, time } from "./text.ts";

const image = { image: imageReference.describe("The image, by id or name") };

export const imageListInput = z.strictObject(pageInput);

export const imageInput = z.strictObject(image);

export const imageBuildInput = z
  .strictObject({ name: name.describe("Which of the images that Queztl makes itself") })
  .meta({
    id: "ImageBuild",
    description: "An image of Queztl's own to be made before it is needed",
  });

export const imageImportInput = z
  .strictObject({
    name: name.describe("The new image's name"),
    file: id.describe("A root file system as a tar archive, sent with file.create and file.write"),
  })
  .meta({ id: "ImageImport", description: "An image from elsewhere" });

export const imageRemoveInput = z.strictObject({
  ...image,
  force: z.boolean().default(false).describe("Also with templates made from it"),
});

/** An image. */
export const imageOutput = z
  .object({
    id: id.describe("Its id"),
    name: name.describe("Its name"),
    state: z.enum(["building", "ready", "failed", "removed"]).describe("How it is"),
    progress: share.describe("How far it is built"),
    kernel: text(128).nullable().describe("The release of its kernel"),
    bytes: bytes.describe("The room it takes on disk"),
    templates: count.describe("Snapshots of booted VMs kept ready from it"),
    default: z.boolean().describe("Whether it is used where no image is given"),
    problem: problem.nullable().describe("Why it failed"),
    createdAt: time.nullable().describe("When it was made; null until it is first needed"),
  })
  .meta({ id: "Image", description: "What a VM starts from" });
