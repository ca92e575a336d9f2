import { type ErrorStatus, QueztlError } from "@queztl/errors";
import { STATUS_TABLE } from "./status-table.ts";

const LONGEST_TEXT = 4000;
const LONGEST_KEY = 64;
const MOST_DETAILS = 32;

/** An error as it crosses to another process: all of a `QueztlError` but its stack and cause. */
export interface WireError {
  readonly code: string;
  readonly status: ErrorStatus;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

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
  if (!isWireError(received)) return undefined;
  const { code, status, message, details } = received;
  // The message is filled already, and it is foreign text: it goes in as a detail, which is made
  // printable and not filled again; the true details take its place.
  const error = new QueztlError(code, { status, message: "{message}" }, { message }, { cause });
  return Object.assign(error, { details });
}

// By hand: clients that look at nothing but errors need no schema library for it.
function isWireError(received: unknown): received is WireError {
  if (typeof received !== "object" || received === null) return false;
  const { code, status, message, details }: Partial<Record<keyof WireError, unknown>> = received;
  return (
    typeof code === "string" &&
    /^QZ_[A-Z0-9_]{1,61}$/.test(code) &&
    typeof status === "string" &&
    Object.hasOwn(STATUS_TABLE, status) &&
    isText(message) &&
    typeof details === "object" &&
    details !== null &&
    Object.entries(details).every(([key, value]) => key.length <= LONGEST_KEY && isDetail(value))
  );
}

const isText = (value: unknown): value is string =>
  typeof value === "string" && value.length <= LONGEST_TEXT + 1;

const isDetail = (value: unknown): boolean =>
  typeof value === "boolean" || Number.isFinite(value) || isText(value);

const cut = (text: string) =>
  text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
