import { SessionSchema } from "@sessiond/contract";
import { derivedKeys } from "../../../store/indexes.ts";
import {
  parseDeadlineKey,
  parseIndexKey,
  type SessionName,
  sessionKey,
} from "../../../store/keys.ts";
import type { StoredRecord } from "../../../store/store.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

const tables = {
  indexes: { code: "INDEX_STRAY", found: "a list names it where it does not belong" },
  deadlines: { code: "DEADLINE_STRAY", found: "a deadline that is not its own" },
} as const;

/** The lists of sessions, or the deadlines: nothing is in them that no session wants there. */
export async function* checkList(run: Run, table: keyof typeof tables): AsyncGenerator<Findings> {
  const { code, found } = tables[table];
  for await (const page of pagesOf(run, table)) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    const entries: { key: Uint8Array; name: SessionName }[] = [];
    for (const { key } of page) {
      const name = nameIn(table, key);
      if (name === undefined) yield damaged(`a key of ${table}`, {});
      else entries.push({ key, name });
    }
    const ranges = entries.map(({ name }) => exactly("sessions", sessionKey(name)));
    const sessions = await run.store.records(...ranges);
    for (const [index, { key, name }] of entries.entries()) {
      if (isWanted(table, key, under(sessionKey(name), sessions[index]))) continue;
      // The session may have changed since the page was read: both in one moment.
      const [keys, now] = await run.store.records(
        exactly(table, key),
        exactly("sessions", sessionKey(name)),
      );
      const isThere = under(key, keys) !== undefined;
      if (!isThere || isWanted(table, key, under(sessionKey(name), now))) continue;
      yield { findings: [finding(code, name, found)] };
    }
    yield nothing;
  }
}

function nameIn(table: keyof typeof tables, key: Uint8Array): SessionName | undefined {
  if (table === "deadlines") return parsed(parseDeadlineKey, key)?.key;
  const entry = parsed(parseIndexKey, key);
  return entry && { namespace: entry.namespace, sessionId: entry.position.sessionId };
}

/** A session that is damaged says nothing about its places; that it is damaged is said elsewhere. */
function isWanted(
  table: keyof typeof tables,
  key: Uint8Array,
  record: StoredRecord | undefined,
): boolean {
  if (record === undefined) return false;
  const session = decoded(SessionSchema, record);
  if (session === undefined) return true;
  return derivedKeys(session)[table].some((wanted) => Buffer.compare(wanted, key) === 0);
}
