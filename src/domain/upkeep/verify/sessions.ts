import { type Session, SessionSchema, type StoreFinding } from "@sessiond/contract";
import { derivedKeys, parentUidOf } from "../../../store/indexes.ts";
import { parseSessionKey, type SessionName, uidBytes, uidText } from "../../../store/keys.ts";
import type { StoredRecord } from "../../../store/store.ts";
import { type Concerned, finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

/** How often a session that changes is looked at again. */
const attempts = 5;

/**
 * The sessions by name: each has its head, its places in the lists, and its deadline; a child has its
 * parent, too.
 */
export async function* checkSessions(run: Run): AsyncGenerator<Findings> {
  let damagedSessions = 0;
  for await (const page of pagesOf(run, "sessions")) {
    if ("findings" in page) {
      run.recount.noteMissing();
      yield page;
      continue;
    }
    const sessions: { record: StoredRecord; session: Session }[] = [];
    for (const record of page) {
      const name = parsed(parseSessionKey, record.key);
      const session = decoded(SessionSchema, record);
      if (session !== undefined && isOf(session, name)) {
        sessions.push({ record, session });
        run.recount.session(session);
        continue;
      }
      damagedSessions += 1;
      run.recount.noteMissing();
      yield damaged("the session record", name ?? {});
    }
    const ranges = sessions.flatMap(({ session }) => rangesOf(session));
    const answers = (await run.store.records(...ranges)).values();
    for (const { record, session } of sessions) {
      const at = run.uids.find(uidBytes(session.uid));
      if (at >= 0) run.uids.setNamed(at);
      const found = missing(session, answers);
      if (found.length > 0) yield await confirmed(run, record.key);
    }
    yield nothing;
  }
  yield* headsWithoutSession(run, damagedSessions);
}

function isOf({ namespace, sessionId }: Session, name: SessionName | undefined): boolean {
  return namespace === name?.namespace && sessionId === name.sessionId;
}

/** Every record that the session must have beside its own. */
function expectedOf(session: Session) {
  const parent = parentUidOf(session);
  const parents = parent === undefined ? [] : [uidBytes(parent)];
  return { head: uidBytes(session.uid), parents, ...derivedKeys(session) };
}

function rangesOf(session: Session) {
  const { head, parents, indexes, deadlines } = expectedOf(session);
  return [
    exactly("heads", head),
    ...parents.map((key) => exactly("heads", key)),
    ...indexes.map((key) => exactly("indexes", key)),
    ...deadlines.map((key) => exactly("deadlines", key)),
  ];
}

/** What is missing, by the answers to `rangesOf`, which it takes. */
function missing(session: Session, answers: Iterator<readonly StoredRecord[]>): StoreFinding[] {
  const { head, parents, indexes, deadlines } = expectedOf(session);
  const { namespace, sessionId, uid } = session;
  const concerned: Concerned = { namespace, sessionId, uid };
  const isThere = (key: Uint8Array) => under(key, answers.next().value) !== undefined;
  const found: StoreFinding[] = [];
  const note = (code: Parameters<typeof finding>[0], words: string) =>
    found.push(finding(code, concerned, words));
  if (!isThere(head)) note("HEAD_MISSING", "it has no head record, so nobody can read it");
  for (const key of parents) {
    if (!isThere(key)) note("PARENT_MISSING", `its parent ${uidText(key)} is not there`);
  }
  for (const key of indexes) {
    if (!isThere(key)) note("INDEX_MISSING", "a list of sessions does not have it");
  }
  for (const key of deadlines) {
    if (!isThere(key)) note("DEADLINE_MISSING", "it does not expire when it should");
  }
  return found;
}

/** Looks again, at everything in one moment, until the session has not changed in between. */
async function confirmed(run: Run, key: Uint8Array): Promise<Findings> {
  let [before] = await run.store.records(exactly("sessions", key));
  for (let attempt = 0; attempt < attempts; attempt++) {
    const record = under(key, before);
    const session = record && decoded(SessionSchema, record);
    if (session === undefined) return { findings: [] };
    const [now, ...answers] = await run.store.records(
      exactly("sessions", key),
      ...rangesOf(session),
    );
    if (sameContent(record, under(key, now))) {
      return { findings: missing(session, answers.values()) };
    }
    before = now ?? [];
  }
  run.notChecked.add("lists of sessions that changed too often to be compared");
  return { findings: [] };
}

function sameContent(a: StoredRecord | undefined, b: StoredRecord | undefined): boolean {
  if (!(a?.content instanceof Uint8Array) || !(b?.content instanceof Uint8Array)) return false;
  return Buffer.compare(a.content, b.content) === 0;
}

async function* headsWithoutSession(run: Run, damagedSessions: number): AsyncGenerator<Findings> {
  const { uids } = run;
  const orOf = damagedSessions === 0 ? "" : `, or of one of ${damagedSessions} that are damaged`;
  for (let at = 0; at < uids.size; at++) {
    if (at % 1_000 === 0) await run.pace.between();
    if (uids.isNamed(at)) continue;
    const key = uids.uid(at);
    const [heads] = await run.store.records(exactly("heads", key));
    if (under(key, heads) === undefined) continue;
    const uid = uidText(key);
    // Renamed to a name that the walk had passed.
    if (run.moved.has(uid)) continue;
    const found = `a head and a log without a session${orOf}`;
    yield { findings: [finding("SESSION_MISSING", { uid }, found)] };
  }
}
