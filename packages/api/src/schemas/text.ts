import { z } from "zod";

/** Text of bounded length. That an input's is storable is seen to before any schema. */
export const text = (most: number) => z.string().max(most);

/** Text that must say something. */
export const someText = (most: number) => text(most).min(1);

/** A name as users choose it: a DNS label, so that it can also be a host name. */
export const name = z
  .string()
  .max(63)
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, {
    error: "must be lower-case letters, digits and inner dashes",
  });

/** An id that the server gave; letters, digits and `_.:/-`, to be treated as opaque. */
export const id = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.:/-]*$/, {
    error: "must be an id: letters, digits and _.:/-",
  });

/** A kind of task; the brain makes them of a description's words, in any script. */
export const family = someText(128);

/** A thing by its id or its name. */
export const reference = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]*$/, { error: "must be an id or a name" });

/** An image by id or by name and version, such as `debian-12` or `debian:12`. */
export const imageReference = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.:/@-]*$/, { error: "must be an image's id or name" });

/** A file of a task: a relative path that stays where it is put. */
export const relativePath = someText(512).refine(
  (path) =>
    !path.startsWith("/") &&
    !/[\p{Cc}\\]/u.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== ".."),
  { error: "must be a relative path without `..`, empty parts, backslashes or control characters" },
);

/** A path inside a guest; the guest decides what it means. */
export const guestPath = someText(4096).regex(/^\//, { error: "must begin with /" });

/** A program and its arguments, never passed through a shell. */
export const command = z.array(text(65_536)).min(1).max(256);

/** A time as ISO 8601, with an offset or `Z`. */
export const time = z.iso.datetime({ offset: true }).max(40);

/** Up to 64 names with values of one kind. */
export const entries = <Value extends z.ZodType>(key: z.ZodString, value: Value, most = 64) =>
  z
    .record(key, value)
    .refine((record) => Object.keys(record).length <= most, {
      error: `must have at most ${most} entries`,
    })
    .meta({ maxProperties: most });

/** Labels: what users sort their things by. */
export const labels = entries(
  z
    .string()
    .max(63)
    .regex(/^[a-z0-9][a-z0-9._/-]*$/, { error: "must be lower-case letters, digits and ._/-" }),
  text(256),
);

/** Environment variables of a program. */
export const environment = entries(
  z
    .string()
    .max(128)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: "must be letters, digits and _" }),
  text(32_768),
  256,
);
