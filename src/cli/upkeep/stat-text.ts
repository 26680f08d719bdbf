import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { type SessionStat, SessionState, type StoreStat } from "@sessiond/contract";
import type { Output } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { age } from "../text/times.ts";
import { cut } from "../text/width.ts";
import { bytesText } from "./report.ts";

const number = (value: bigint) => numberText(Number(value));

/** Writes what a store has as tables. */
export async function writeStat(output: Output, stat: StoreStat): Promise<void> {
  const { store, fileBytes, usedBytes, freeBytes, sessions, sessionsExamined } = stat;
  const paint = paintFor(output);
  const title = (text: string) => output.write(`\n${paint("bold", text)}\n`);
  const file = `file ${bytesText(fileBytes)}: ${bytesText(usedBytes)} used, ${bytesText(freeBytes)} free for reuse`;
  output.write(`${store?.engine} store ${store?.storeId}\n`);
  output.write(fileBytes === 0n ? "no file\n" : `${file}\n`);
  if (sessionsExamined < sessions) {
    output.write(
      `the first ${number(sessionsExamined)} of ${number(sessions)} sessions, by name:\n`,
    );
  }

  title("Tables");
  await writeTable(output, {
    head: ["TABLE", "ENTRIES", "SIZE"],
    rows: stat.tables
      .filter(({ entries }) => entries > 0n)
      .map(({ name, entries, bytes }) => [name, number(entries), bytesText(bytes)]),
  });
  title("Namespaces");
  await writeTable(output, {
    head: ["NAMESPACE", "SESSIONS", "EVENTS", "SIZE", "STATES"],
    rows: stat.namespaces.map(({ namespace, states, ...of }) => [
      safe(namespace),
      number(of.sessions),
      number(of.events),
      bytesText(of.storedBytes),
      states.map(({ state, sessions: count }) => `${stateText(state)} ${number(count)}`).join(", "),
    ]),
  });
  for (const [name, list] of [
    ["Biggest", stat.biggest],
    ["Oldest that have not ended", stat.oldest],
    ["Noisiest", stat.noisiest],
  ] as const) {
    if (list.length === 0) continue;
    title(name);
    await writeSessions(output, list);
  }
}

function writeSessions(output: Output, sessions: readonly SessionStat[]): Promise<void> {
  const now = new Date();
  const ago = (time: Timestamp | undefined) => (time ? age(timestampDate(time), now) : "");
  return writeTable(output, {
    head: ["NAMESPACE", "SESSION", "STATE", "EVENTS", "SIZE", "CREATED", "ACTIVE", "PER HOUR"],
    rows: sessions.map((session) => [
      safe(session.namespace),
      cut(safe(session.sessionId), 40),
      stateText(session.state),
      numberText(session.events),
      bytesText(session.storedBytes),
      ago(session.createTime),
      ago(session.lastActivityTime),
      session.eventsPerHour.toFixed(1),
    ]),
  });
}

function stateText(state: SessionState): string {
  return (SessionState[state] ?? String(state)).toLowerCase();
}
