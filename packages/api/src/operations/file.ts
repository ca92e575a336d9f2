import { fileChunk } from "../schemas/bytes.ts";
import * as schema from "../schemas/file.ts";
import { mutation, query } from "./operation.ts";

const file = "file-1";
const read = { scope: "file:read" } as const;
const write = { scope: "file:write" } as const;
const one = { input: schema.fileInput, output: schema.fileOutput, example: { file } } as const;

export const fileOperations = {
  create: mutation({
    ...write,
    summary: "Begin to send a file, for a task, an image or the brain",
    input: schema.fileCreateInput,
    output: schema.fileOutput,
    rest: { method: "POST", path: "/v1/files", status: 201 },
    example: { name: "survey.csv", bytes: 6 },
  }),
  write: mutation({
    ...write,
    summary: "Send the next piece of a file",
    input: schema.fileWriteInput,
    output: schema.fileOutput,
    rest: { method: "PUT", path: "/v1/files/{file}/content" },
    example: { file, offset: 0, data: "eCx5LHoK" },
  }),
  get: query({
    ...read,
    ...one,
    summary: "Show how much of a file is there",
    rest: { method: "GET", path: "/v1/files/{file}" },
  }),
  read: query({
    ...read,
    summary: "Read a piece of a file",
    input: schema.fileReadInput,
    output: fileChunk,
    rest: { method: "GET", path: "/v1/files/{file}/content" },
    example: { file, offset: 0, length: 1024 },
  }),
  remove: mutation({
    ...write,
    ...one,
    summary: "Delete a file that is no longer needed",
    rest: { method: "DELETE", path: "/v1/files/{file}" },
  }),
};
