import type { Session } from "@sessiond/client";
import type { CacheInfo } from "@sessiond/contract";
import type { Output } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { cut } from "../text/width.ts";
import { durationText, leftMs } from "./time-left.ts";

const mark = "*";

/** Writes sessions as a table, with the time until each expires; the current one is marked. */
export async function writeSessions(
  output: Output,
  { sessions, current, nowMs }: { sessions: readonly Session[]; current: string; nowMs: number },
): Promise<void> {
  const paint = paintFor(output);
  const rows = sessions.map((session) => {
    const { sessionId, title, message } = session;
    const isCurrent = sessionId === current;
    const left = leftMs(session, nowMs);
    return [
      isCurrent ? paint("green", mark) : "",
      paint(isCurrent ? "green" : "cyan", cut(safe(sessionId), 40)),
      cut(safe(title), 40),
      String(message.metrics?.messages ?? 0).padStart(messagesHead.length),
      left === undefined ? "never expires" : durationText(left),
    ];
  });
  await writeTable(output, { head: ["", "SESSION", "TITLE", messagesHead, "TIME LEFT"], rows });
}

const messagesHead = "MESSAGES";
const numberColumns = 12;

/** Writes what the caches of a server have done, as a table; what is not known is a dash. */
export async function writeCaches(output: Output, caches: readonly CacheInfo[]): Promise<void> {
  const paint = paintFor(output);
  const cell = (value: string) => value.padStart(numberColumns);
  const count = (value: bigint | undefined) =>
    cell(value === undefined ? "-" : numberText(Number(value)));
  const rows = caches.map(({ name, hits, misses, entries, bytes, limitBytes }) => [
    paint("cyan", safe(name)),
    count(hits),
    count(misses),
    cell(rateText(Number(hits), Number(misses))),
    count(entries),
    count(bytes),
    count(limitBytes),
  ]);
  const head = ["HITS", "MISSES", "HIT RATE", "ENTRIES", "BYTES", "OF AT MOST"].map(cell);
  await writeTable(output, { head: ["CACHE", ...head], rows });
}

function rateText(hits: number, misses: number): string {
  return hits + misses === 0 ? "-" : `${((100 * hits) / (hits + misses)).toFixed(1)}%`;
}
