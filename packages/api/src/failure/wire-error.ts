import { type ErrorStatus, QueztlError } from "@queztl/errors";
import { z } from "zod";
import { STATUS_TABLE } from "./status-table.ts";

const LONGEST_TEXT = 4000;
const MOST_DETAILS = 32;

const statuses = Object.keys(STATUS_TABLE) as [ErrorStatus, ...ErrorStatus[]];

/** An error as it crosses to another process: all of a `QueztlError` but its stack and cause. */
export const wireError = z
  .object({
    code: z
      .string()
      .max(64)
      .regex(/^QZ_[A-Z0-9_]+$/)
      .describe("The stable code, for programs"),
    status: z.enum(statuses).describe("What kind of failure it is"),
    message: z
      .string()
      .max(LONGEST_TEXT + 1)
      .describe("What is wrong and what to do about it"),
    details: z
      .record(
        z.string().max(64),
        z.union([z.string().max(LONGEST_TEXT + 1), z.number(), z.boolean()]),
      )
      .describe("The values behind the message, for programs"),
  })
  .meta({ id: "Error", description: "Why a call was refused or failed" });

/** An error as it crosses to another process. */
export type WireError = z.output<typeof wireError>;

/**
 * An error ready to be sent. Long texts are cut at 4,000 characters, details at 32; a bigint becomes a
 * string, since JSON has none.
 */
export function toWireError(error: QueztlError): WireError {
  const { code, status, message } = error;
  const details: [string, string | number | boolean][] = [];
  for (const [key, value] of Object.entries(error.details)) {
    if (value === undefined || details.length >= MOST_DETAILS) continue;
    if (typeof value === "boolean" || Number.isFinite(value)) {
      details.push([key, value as number | boolean]);
    } else {
      details.push([key, cut(String(value))]);
    }
  }
  return { code, status, message: cut(message), details: Object.fromEntries(details) };
}

/** The same error on the other side. What is not an error of this contract gives undefined. */
export function fromWireError(received: unknown, cause?: unknown): QueztlError | undefined {
  const parsed = wireError.safeParse(received);
  if (!parsed.success) return undefined;
  const { code, status, message, details } = parsed.data;
  // The message is filled already, and it is foreign text: it goes in as a detail, which is made
  // printable and not filled again; the true details take its place.
  const error = new QueztlError(code, { status, message: "{message}" }, { message }, { cause });
  return Object.assign(error, { details });
}

const cut = (text: string) =>
  text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
