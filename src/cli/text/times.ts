const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `500ms`, `30s`, `10m`, `2h` or `7d`; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}

/** How long ago in one unit, as people say it: `5s`, `12m`, `3h`, `4d`. */
export function age(time: Date, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - time.getTime()) / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `13:05:09` in this machine's time zone, behind the date if that is not today's. */
export function clockTime(time: Date, now: Date): string {
  const clock = padded([time.getHours(), time.getMinutes(), time.getSeconds()], ":");
  return dateOf(time) === dateOf(now) ? clock : `${dateOf(time)} ${clock}`;
}

function dateOf(time: Date): string {
  return padded([time.getFullYear(), time.getMonth() + 1, time.getDate()], "-");
}

function padded(parts: readonly number[], separator: string): string {
  return parts.map((part) => String(part).padStart(2, "0")).join(separator);
}
