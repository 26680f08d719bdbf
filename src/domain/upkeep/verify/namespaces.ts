import {
  type NamespaceLogEntry,
  NamespaceLogEntrySchema,
  SessionHeadSchema,
} from "@sessiond/contract/store";
import { parseLogKey, uidText } from "../../../store/keys.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

/** Deleted sessions that are remembered until the log says that they were deleted. */
const maxGone = 200_000;

/**
 * The logs of the namespaces: their offsets have no hole, and what they name of a session is its
 * events one after another, up to its head.
 */
export async function* checkNamespaces(run: Run): AsyncGenerator<Findings> {
  const gone = new Gone();
  let place = { namespace: "", offset: 0 };
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
        if (key !== undefined) place = key;
        continue;
      }
      const { namespace, offset } = key;
      const isNew = run.namespaces === 0 || namespace !== place.namespace;
      if (isNew) run.namespaces += 1;
      const expected = isNew ? 1 : place.offset + 1;
      if (offset !== expected) {
        isWhole = false;
        const found = `its log goes on at ${offset} where ${expected} should be`;
        yield { findings: [finding("NAMESPACE_LOG_GAP", { namespace }, found)] };
      }
      place = key;
      const wrong = follow(run, gone, entry);
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
  // With a hole in it, a log says less than there is; the hole was said.
  if (isWhole) yield* checkEnds(run, gone);
}

/** Takes an entry; says what is wrong with it. */
function follow(run: Run, gone: Gone, entry: NamespaceLogEntry): string | undefined {
  const { sessionUid, firstRevision: first, lastRevision: last, deleted } = entry;
  const at = run.uids.find(sessionUid);
  const before = at < 0 ? gone.logged(sessionUid) : run.uids.logged(at);
  if (deleted) {
    if (at >= 0) run.uids.setLogged(at, 0);
    else gone.forget(sessionUid);
    return undefined;
  }
  if (at < 0) gone.note(sessionUid, last);
  else run.uids.setLogged(at, last);
  if (first > last) return `names events ${first} to ${last}`;
  // Of a session that was never seen begin, too many were to be remembered.
  if (first !== before + 1 && (at >= 0 || !gone.isFull)) {
    return `names events ${first} to ${last} behind ${before}`;
  }
  return undefined;
}

/** What the logs have named is what there is. */
async function* checkEnds(run: Run, gone: Gone): AsyncGenerator<Findings> {
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
  for (const key of gone.keys()) {
    await run.pace.between();
    const [heads] = await run.store.records(exactly("heads", key));
    const uid = uidText(key);
    // Created, or deleted, since the run began.
    if (under(key, heads) !== undefined || run.moved.has(uid)) continue;
    const found = "the log of a namespace names events of a session that is not there";
    yield { findings: [finding("NAMESPACE_LOG_WRONG", { uid }, found)] };
  }
}

/** Sessions that the logs name and that are not among the heads, until they are said to be deleted. */
class Gone {
  readonly #logged = new Map<string, number>();
  #isFull = false;

  /** Some were not remembered. */
  get isFull(): boolean {
    return this.#isFull;
  }

  logged(uid: Uint8Array): number {
    return this.#logged.get(textOf(uid)) ?? 0;
  }

  note(uid: Uint8Array, revision: number): void {
    if (this.#logged.size < maxGone || this.#logged.has(textOf(uid))) {
      this.#logged.set(textOf(uid), revision);
    } else this.#isFull = true;
  }

  forget(uid: Uint8Array): void {
    this.#logged.delete(textOf(uid));
  }

  *keys(): Generator<Buffer> {
    for (const text of this.#logged.keys()) yield Buffer.from(text, "latin1");
  }
}

function textOf(uid: Uint8Array): string {
  return Buffer.from(uid).toString("latin1");
}
