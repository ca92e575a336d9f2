import type { ErrorStatus } from "@queztl/errors";
import { z } from "zod";
import { STATUS_TABLE } from "../failure/status-table.ts";
import type { WireError } from "../failure/wire-error.ts";

const statuses = Object.keys(STATUS_TABLE) as [ErrorStatus, ...ErrorStatus[]];

/** An error as it crosses to another process, for the OpenAPI document. */
export const wireError = z
  .object({
    code: z
      .string()
      .max(64)
      .regex(/^QZ_[A-Z0-9_]+$/)
      .describe("The stable code, for programs"),
    status: z.enum(statuses).describe("What kind of failure it is"),
    message: z.string().max(4001).describe("What is wrong and what to do about it"),
    details: z
      .record(z.string().max(64), z.union([z.string().max(4001), z.number(), z.boolean()]))
      .describe("The values behind the message, for programs"),
  })
  .meta({ id: "Error", description: "Why a call was refused or failed" }) satisfies z.ZodType<
  WireError,
  WireError
>;
