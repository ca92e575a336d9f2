import { chipsetError } from "./errors.ts";

/** Checks one value of a saved state and returns it typed; `fail` makes the coded error. */
export type Check<T> = (value: unknown, fail: (reason: string) => Error, path: string) => T;

/** The type a check accepts. */
export type Checked<C> = C extends Check<infer T> ? T : never;

type Fields = Readonly<Record<string, Check<unknown>>>;
type Values<F extends Fields> = { -readonly [K in keyof F]: Checked<F[K]> };

const integer =
  (least: number, most: number): Check<number> =>
  (value, fail, path) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most)
      return value;
    throw fail(`${path} is not an integer from ${least} to ${most}`);
  };

export const u8 = integer(0, 0xff);
export const u16 = integer(0, 0xffff);
export const u32 = integer(0, 0xffffffff);
export const whole = integer(0, Number.MAX_SAFE_INTEGER);
export const upTo = (most: number): Check<number> => integer(0, most);

/** A span of time in nanoseconds or milliseconds, of either sign. */
export const span: Check<number> = (value, fail, path) => {
  if (typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value;
  throw fail(`${path} is not a span of time`);
};

export const flag: Check<boolean> = (value, fail, path) => {
  if (typeof value === "boolean") return value;
  throw fail(`${path} is not a boolean`);
};

export const bytes =
  (least: number, most = least): Check<Uint8Array> =>
  (value, fail, path) => {
    if (value instanceof Uint8Array && value.length >= least && value.length <= most) return value;
    throw fail(`${path} is not ${least === most ? least : `${least} to ${most}`} bytes`);
  };

export const list =
  <T>(item: Check<T>, length: number): Check<T[]> =>
  (value, fail, path) => {
    if (!Array.isArray(value) || value.length !== length)
      throw fail(`${path} is not a list of ${length}`);
    return value.map((entry: unknown, i) => item(entry, fail, `${path}[${i}]`));
  };

export const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, fail, path) =>
    value === undefined ? undefined : check(value, fail, path);

export const record =
  <F extends Fields>(fields: F): Check<Values<F>> =>
  (value, fail, path) => {
    if (typeof value !== "object" || value === null) throw fail(`${path} is not an object`);
    const source = value as Readonly<Record<string, unknown>>;
    const at = path === "" ? "" : `${path}.`;
    const checked = Object.entries(fields).map(([key, check]) => [
      key,
      check(Object.hasOwn(source, key) ? source[key] : undefined, fail, at + key),
    ]);
    return Object.fromEntries(checked) as Values<F>;
  };

/** The layout of one chip's saved state: its version and fields. */
export interface StateLayout<V extends number, Content> {
  readonly version: V;
  /** Returns `state` checked. @throws QZ_CHIPSET_STATE when it is of another version or shape. */
  check(state: unknown): Content & { readonly version: V };
}

/** Describes a chip's saved state; `Saved<typeof layout>` is its type. */
export function stateLayout<const V extends number, F extends Fields>(
  chip: string,
  version: V,
  fields: F,
): StateLayout<V, Values<F>> {
  const fail = (reason: string) => chipsetError("QZ_CHIPSET_STATE", { chip, reason });
  const shape = record(fields);
  return {
    version,
    check(state) {
      const given = (state as { version?: unknown } | null | undefined)?.version;
      if (given !== version)
        throw fail(`its version is ${String(given)}, this is version ${version}`);
      return { ...shape(state, fail, ""), version };
    },
  };
}

export type Saved<L> =
  L extends StateLayout<infer V, infer F> ? F & { readonly version: V } : never;
