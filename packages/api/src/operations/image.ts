import * as schema from "../schemas/image.ts";
import { pageOf } from "../schemas/page.ts";
import { mutation, query } from "./operation.ts";

const read = { scope: "image:read" } as const;
const write = { scope: "image:write" } as const;

export const imageOperations = {
  list: query({
    ...read,
    summary: "List images",
    input: schema.imageListInput,
    output: pageOf(schema.imageOutput),
    rest: { method: "GET", path: "/v1/images" },
    example: {},
  }),
  get: query({
    ...read,
    summary: "Show an image",
    input: schema.imageInput,
    output: schema.imageOutput,
    rest: { method: "GET", path: "/v1/images/{image}" },
    example: { image: "debian" },
  }),
  build: mutation({
    ...write,
    summary: "Make an image of Queztl's own; answers at once, events tell how it goes",
    input: schema.imageBuildInput,
    output: schema.imageOutput,
    rest: { method: "POST", path: "/v1/images/build", status: 201 },
    example: { name: "python" },
  }),
  import: mutation({
    ...write,
    summary: "Import an image; answers at once, events tell how it goes",
    input: schema.imageImportInput,
    output: schema.imageOutput,
    rest: { method: "POST", path: "/v1/images/import", status: 201 },
    example: { name: "alpine", file: "file-01" },
  }),
  remove: mutation({
    ...write,
    summary: "Remove an image that no VM uses",
    input: schema.imageRemoveInput,
    output: schema.imageOutput,
    rest: { method: "DELETE", path: "/v1/images/{image}" },
    example: { image: "alpine", force: false },
  }),
};
