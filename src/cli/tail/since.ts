import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { durationMs } from "../text/times.ts";

/** Where a tail begins: behind a cursor, with the first event that is not older, or at the end. */
export type Since =
  | { readonly cursor: string }
  | { readonly time: Date }
  | { readonly isNow: true };

/**
 * Reads `10m`, `2h` (so long ago), an ISO time, `now`, or a cursor.
 *
 * Errors: CommandError for what is none of them.
 */
export function parseSince(text: string, now: Date): Since {
  if (text === "now") return { isNow: true };
  const agoMs = durationMs(text);
  if (agoMs !== undefined) return { time: new Date(now.getTime() - agoMs) };
  if (/^\d{4}-\d{2}-\d{2}(?:T.*)?$/.test(text) && !Number.isNaN(Date.parse(text))) {
    return { time: new Date(text) };
  }
  // The shortest cursor holds 29 bytes; a mistyped duration is shorter.
  if (/^[\w-]{28,}$/.test(text)) return { cursor: text };
  throw new CommandError(
    exitCodes.cannotStart,
    `--since is "${text}"; it must be a duration such as 10m or 2h, "now", an ISO time such as 2026-01-31T12:00:00Z, or a cursor`,
  );
}
