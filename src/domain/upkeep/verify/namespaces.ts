import {
  type NamespaceLogEntry,
  NamespaceLogEntrySchema,
  SessionHeadSchema,
} from "@sessiond/contract/store";
import { parseLogKey, uidText } from "../../../store/keys.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

/**
 * The logs of the namespaces: what they name of a session that is there is its own events one after
 * another, up to its head. Entries of sessions that are not there are those of deleted ones: they go with
 * time, in any order, and leave holes between the offsets.
 */
export async function* checkNamespaces(run: Run): AsyncGenerator<Findings> {
  let last: string | undefined;
  let isWhole = true;
  for await (const page of pagesOf(run, "log")) {
    if ("findings" in page) {
      isWhole = false;
      yield page;
      continue;
    }
    for (const record of page) {
      const key = parsed(parseLogKey, record.key);
      const entry = decoded(NamespaceLogEntrySchema, record);
      if (key === undefined || entry === undefined || entry.sessionUid.length !== 16) {
        isWhole = false;
        yield damaged(`entry ${key?.offset ?? "of unknown offset"} of the namespace's log`, {
          ...(key && { namespace: key.namespace }),
        });
        continue;
      }
      const { namespace, offset } = key;
      if (namespace !== last) run.namespaces += 1;
      last = namespace;
      const wrong = follow(run, entry);
      if (wrong === undefined) continue;
      const { sessionId } = entry;
      const concerned = { namespace, sessionId, uid: uidText(entry.sessionUid) };
      const found = `entry ${offset} ${wrong}`;
      yield { findings: [finding("NAMESPACE_LOG_WRONG", concerned, found)] };
    }
    yield nothing;
  }
  if (run.uids.isFull) {
    run.notChecked.add("namespace logs of the newest sessions, of which there are too many");
  }
  // With a damaged entry, a log says less than there is; the damage was said.
  if (isWhole) yield* checkEnds(run);
}

/** Takes an entry; says what is wrong with it. */
function follow({ uids }: Run, entry: NamespaceLogEntry): string | undefined {
  const { sessionUid, firstRevision: first, lastRevision: last, deleted } = entry;
  const at = uids.find(sessionUid);
  if (deleted) {
    if (at >= 0) uids.setLogged(at, 0);
    return undefined;
  }
  if (first < 1 || first > last) return `names events ${first} to ${last}`;
  // Deleted, or created since the heads were read.
  if (at < 0) return undefined;
  const before = uids.logged(at);
  const follows = uids.begins(at) ? first > before : first === before + 1;
  uids.setLogged(at, last);
  return follows ? undefined : `names events ${first} to ${last} behind ${before}`;
}

/** What the logs have named is what there is. */
async function* checkEnds(run: Run): AsyncGenerator<Findings> {
  const { uids } = run;
  for (let at = 0; at < uids.size; at++) {
    if (at % 1_000 === 0) await run.pace.between();
    if (uids.logged(at) === uids.revision(at)) continue;
    const key = uids.uid(at);
    const uid = uidText(key);
    const [heads] = await run.store.records(exactly("heads", key));
    const record = under(key, heads);
    const head = record && decoded(SessionHeadSchema, record);
    if (head === undefined || run.moved.has(uid)) continue;
    const logged = uids.logged(at);
    // Between the two, it was appended to while the walks went on.
    if (logged >= uids.revision(at) && logged <= head.revision) continue;
    const found = `the log of its namespace has named events up to ${logged} of ${head.revision}`;
    yield { findings: [finding("NAMESPACE_LOG_WRONG", { uid }, found)] };
  }
}
