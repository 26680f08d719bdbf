const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `500ms`, `30s`, `10m`, `2h` or `7d`; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}

/** A time as people say it, in one unit or two: `850ms`, `1.5s`, `2m 5s`, `3h 12m`, `4d 2h`. */
export function durationText(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  if (ms < 59_950) return `${Number((ms / 1_000).toFixed(1))}s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
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
