import { qctlErrors } from "../errors.ts";

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };
const LONGEST = 30 * 86_400;

/** Seconds of a duration as people type it: `90`, `30s`, `1h30m`, `500ms`. Throws `QZ_QCTL_INPUT_INVALID`. */
export function parseDuration(text: string, field = "a duration"): number {
  if (/^\d+(?:\.\d+)?$/.test(text) && Number(text) <= LONGEST) return Number(text);
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/gy)];
  const seconds = parts.reduce(
    (sum, [, amount, unit = "s"]) => sum + Number(amount) * (UNITS[unit] ?? 0),
    0,
  );
  if (parts.length === 0 || parts.map(([all]) => all).join("") !== text || seconds > LONGEST) {
    throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
      field,
      expected: "a duration such as 30s, 5m or 1h30m, of at most 30 days",
    });
  }
  return seconds;
}

const SIZES: Readonly<Record<string, number>> = {
  "": 1,
  M: 1,
  MI: 1,
  MIB: 1,
  MB: 1,
  G: 1024,
  GI: 1024,
  GIB: 1024,
  GB: 1024,
  T: 1024 * 1024,
  TI: 1024 * 1024,
  TIB: 1024 * 1024,
  TB: 1024 * 1024,
};

/** MiB of a size as people type it: `512`, `512M`, `2G`, `1.5GiB`. Throws `QZ_QCTL_INPUT_INVALID`. */
export function parseMebibytes(text: string, field = "a size"): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = SIZES[unit.toUpperCase()];
  const mib = Number(amount) * (factor ?? Number.NaN);
  if (!Number.isInteger(mib)) {
    throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
      field,
      expected: "a size in MiB such as 512, 512M or 2G",
    });
  }
  return mib;
}
