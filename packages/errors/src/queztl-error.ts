/**
 * What kind of failure a code stands for; the API maps it to HTTP and tRPC statuses and the command
 * line to exit codes.
 */
export type ErrorStatus =
  | "invalid" // the caller's input is wrong: change it and call again
  | "not-found"
  | "conflict" // the thing exists already, or is in a state that forbids the call
  | "unauthorised"
  | "forbidden"
  | "exhausted" // a limit is reached: memory, disk, time, a quota
  | "unavailable" // not now or not on this host: a missing device, a lost connection
  | "timeout"
  | "cancelled"
  | "guest" // the guest, not the caller, misbehaved
  | "internal"; // a defect of ours

/** One row of a package's catalogue: `message` may hold `{name}` places that the details fill. */
export interface ErrorEntry {
  readonly status: ErrorStatus;
  /** A short sentence that says what is wrong and what to do about it. */
  readonly message: string;
}

/** A package's error codes, each beginning with `QZ_`, and what they mean. */
export type ErrorCatalogue = Readonly<Record<`QZ_${string}`, ErrorEntry>>;

/** Values that fill a message's places; they travel with the error for programs to read. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | bigint | undefined>>;

// Shared by every copy of this package in a process, whatever its version: `instanceof` is not.
const brand = Symbol.for("queztl.error");

/** The one error class Queztl throws: a stable `code`, a `status`, a message that says what to do. */
export class QueztlError extends Error {
  readonly [brand] = true;
  readonly code: string;
  readonly status: ErrorStatus;
  readonly details: ErrorDetails;

  constructor(
    code: string,
    entry: ErrorEntry,
    details: ErrorDetails = {},
    options: { cause?: unknown } = {},
  ) {
    super(fill(entry.message, details), options);
    this.name = "QueztlError";
    this.code = code;
    this.status = entry.status;
    this.details = details;
  }
}

/** Builds (does not throw) the error of a catalogue's code. */
export type ErrorThrower<Catalogue extends ErrorCatalogue> = (
  code: keyof Catalogue & string,
  details?: ErrorDetails,
  options?: { cause?: unknown },
) => QueztlError;

/**
 * Turns a catalogue into the function that makes its errors:
 * `const fault = defineErrors({ QZ_X: { status: "invalid", message: "…" } }); throw fault("QZ_X")`.
 */
export function defineErrors<const Catalogue extends ErrorCatalogue>(
  catalogue: Catalogue,
): ErrorThrower<Catalogue> {
  return (code, details, options) => {
    const entry: ErrorEntry | undefined = Object.hasOwn(catalogue, code)
      ? catalogue[code as keyof ErrorCatalogue]
      : undefined;
    if (entry === undefined) throw new TypeError(`unknown error code ${code}`);
    return new QueztlError(code, entry, details, options);
  };
}

/**
 * Whether a caught value is a Queztl error, of one code where one is given. It also knows errors of
 * another copy of this package, as an installation with two versions of it has.
 */
export function isQueztlError(value: unknown, code?: string): value is QueztlError {
  if (!(value instanceof Error) || !(brand in value)) return false;
  return code === undefined || ("code" in value && value.code === code);
}

/** The longest a detail may be inside a message, in characters; `details` keeps it whole. */
const longestDetail = 500;

function fill(message: string, details: ErrorDetails): string {
  return message.replace(/\{(\w+)\}/g, (place, name: string) =>
    Object.hasOwn(details, name) ? printable(String(details[name])) : place,
  );
}

// What nearly every detail is; the rest needs a closer look.
const plainText = /^[\x20-\x7e]*$/;

/** Text that a guest or a caller chose must not drive the terminal or forge the log it is shown in. */
function printable(text: string): string {
  if (text.length <= longestDetail && plainText.test(text)) return text;
  const shown = text.length > longestDetail ? `${text.slice(0, longestDetail)}…` : text;
  return shown.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const point = character.codePointAt(0) ?? 0;
    return `\\u{${point.toString(16)}}`;
  });
}
