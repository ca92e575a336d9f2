/** A size in MiB as people say it: `512 MiB`, `1.5 GiB`. */
export function mebibytes(mib: number): string {
  if (mib < 1024) return `${trim(mib)} MiB`;
  if (mib < 1024 * 1024) return `${trim(mib / 1024)} GiB`;
  return `${trim(mib / (1024 * 1024))} TiB`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size in bytes as people say it. */
export function byteSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${trim(value)} ${BYTE_UNITS[unit]}`;
}

/** From one value to another, or the one where both are told the same. */
export const span = (low: string, high: string): string =>
  low === high ? low : `${low} – ${high}`;

/** A part of a whole as a percentage. */
export const percent = (share: number): string => `${Math.round(share * 100)}%`;

/** How long something takes: `3.2s`, `4m10s`, `2h5m`, `3d4h`. */
export function duration(seconds: number): string {
  if (seconds === 0) return "0s";
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))}ms`;
  if (seconds < 60) return `${trim(seconds)}s`;
  const whole = Math.round(seconds);
  const parts: [number, string, number, string] =
    whole < 3600
      ? [Math.floor(whole / 60), "m", whole % 60, "s"]
      : whole < 86_400
        ? [Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "m"]
        : [Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h"];
  const [large, largeUnit, small, smallUnit] = parts;
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}

/** How long ago a time was, to its largest unit; `-` for none. */
export function age(at: string | null, now: Date): string {
  if (at === null) return "-";
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(at)) / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

const trim = (value: number): string =>
  value >= 100 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, "");
