import { type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { DataLossError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import { eventKey, parseEventKey, uidBytes, uidText } from "../../../store/keys.ts";
import type { StoredRecord } from "../../../store/store.ts";
import { finding } from "./finding.ts";
import { missingReferences, newestShared } from "./references.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { SessionLogCheck } from "./session-log.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

const lastRevision = 0xffff_ffff;
const uidLength = 16;

/** A head that was read, and the log that belongs to it. */
interface Log {
  readonly uid: string;
  readonly head: SessionHead;
  readonly check: SessionLogCheck;
  /** Where its events are, oldest first; the last piece is its own. */
  readonly pieces: readonly [Piece, ...Piece[]];
}

/** Events under one uid, up to a revision; those before `first` belong to others. */
interface Piece {
  readonly uid: Uint8Array;
  readonly first: number;
  readonly last: number;
}

/**
 * The heads in the order of their uids, each with its log; and between them the events that belong to
 * nobody. Fills `run.uids`.
 */
export async function* checkLogs(run: Run): AsyncGenerator<Findings> {
  // Where events are looked for that no head owns.
  let from: Uint8Array | undefined;
  for await (const page of pagesOf(run, "heads")) {
    if ("findings" in page) {
      run.recount.noteMissing();
      yield page;
      continue;
    }
    let logs: Log[] = [];
    for (const record of page) {
      if (record.key.length !== uidLength) {
        yield damaged("the key of a head", {});
        continue;
      }
      const uid = uidText(record.key);
      const head = decoded(SessionHeadSchema, record);
      const inherited = head?.inherited.at(-1)?.lastRevision ?? 0;
      run.uids.add(record.key, head?.revision ?? 0, inherited);
      if (head === undefined) {
        run.recount.noteMissing();
        yield damaged("the head", { uid });
      } else {
        const pieces = piecesOf(record.key, head);
        logs.push({ uid, head, check: new SessionLogCheck(uid, head, run.recount), pieces });
      }
      const events = logs.reduce((sum, log) => sum + log.head.revision, 0);
      if (events < limits.verifyRecords) continue;
      yield* checkTogether(run, logs);
      logs = [];
    }
    yield* checkTogether(run, logs);
    const to = page.at(-1)?.key ?? Buffer.alloc(0);
    yield* ownerless(run, from, to);
    from = to;
    yield nothing;
  }
  yield* ownerless(run, from, undefined);
}

/** Checks logs that are short together; a long one continues alone. */
async function* checkTogether(run: Run, logs: readonly Log[]): AsyncGenerator<Findings> {
  if (logs.length === 0) return;
  let first: readonly (readonly StoredRecord[])[] | undefined;
  try {
    first = await run.store.records(...logs.map(({ pieces: [piece] }) => eventsOf(piece)));
  } catch (error) {
    if (!(error instanceof DataLossError)) throw error;
    // One by one, to tell which of them cannot be read.
  }
  for (const [index, log] of logs.entries()) {
    run.sessions += 1;
    yield* checkOne(run, log, first?.[index]);
    await run.pace.between();
  }
}

function piecesOf(uid: Uint8Array, { inherited }: SessionHead): Log["pieces"] {
  let first = 1;
  const shared = inherited.map((segment): Piece => {
    const piece = { uid: segment.uid, first, last: segment.lastRevision };
    first = piece.last + 1;
    return piece;
  });
  // Its own are read from the very first: nothing of it may stand before those it inherits end.
  const own = { uid, first: 1, last: lastRevision };
  const [oldest, ...others] = shared;
  return oldest === undefined ? [own] : [oldest, ...others, own];
}

function eventsOf({ uid, first }: Piece, after?: Uint8Array) {
  const behind =
    after ?? (first > 1 ? eventKey({ uid: uidText(uid), revision: first - 1 }) : after);
  return {
    table: "events",
    prefix: uid,
    ...(behind && { after: behind }),
    limit: limits.verifyRecords,
    maxBytes: limits.verifyBytes,
  } as const;
}

async function* checkOne(
  run: Run,
  log: Log,
  first: readonly StoredRecord[] | undefined,
): AsyncGenerator<Findings> {
  const { uid, check, head, pieces } = log;
  try {
    for (const [index, piece] of pieces.entries()) {
      yield* addPiece(run, check, piece, index === 0 ? first : undefined);
    }
  } catch (error) {
    if (!(error instanceof DataLossError)) throw error;
    run.recount.noteMissing();
    yield { findings: [finding("TABLE_UNREADABLE", { uid }, "a part of its log")] };
    return;
  }
  const { findings, goesOn } = check.end();
  if (findings.length > 0 || goesOn) {
    yield { findings: await confirmed(run, log, { findings, goesOn }) };
  }
  yield await missingReferences(run, uid, head.inherited);
}

/** Adds the events of a piece, of which the first page may have been read. */
async function* addPiece(
  run: Run,
  check: SessionLogCheck,
  piece: Piece,
  first: readonly StoredRecord[] | undefined,
): AsyncGenerator<Findings> {
  const isOwn = piece.last === lastRevision;
  let page = first ?? (await run.store.records(eventsOf(piece)))[0];
  while (page.length > 0) {
    // What is shared is counted where it is kept.
    if (isOwn) {
      run.records += page.length;
      run.events += page.length;
    }
    for (const record of page) {
      const revision = parsed(parseEventKey, record.key)?.revision ?? 0;
      if (revision > piece.last || !check.add(record)) return;
    }
    const last = page.at(-1);
    if (last === undefined) return;
    await run.pace.between();
    yield nothing;
    [page] = await run.store.records(eventsOf(piece, last.key));
  }
}

/** What is left of the findings when it is known what has changed meanwhile. */
async function confirmed(
  run: Run,
  { uid, head }: Log,
  { findings, goesOn }: ReturnType<SessionLogCheck["end"]>,
): Promise<Findings["findings"]> {
  const key = uidBytes(uid);
  const behind = eventKey({ uid, revision: head.revision });
  const [heads, events] = await run.store.records(exactly("heads", key), {
    table: "events",
    prefix: key,
    after: behind,
    limit: 1,
  });
  const record = under(key, heads);
  // Deleted since: its events go, too.
  if (record === undefined) return [];
  const [next] = events;
  const revision = decoded(SessionHeadSchema, record)?.revision;
  if (!goesOn || revision !== head.revision || next === undefined) return findings;
  const found = `event ${parseEventKey(next.key).revision} is there; the session is at ${revision}`;
  return [...findings, finding("EVENT_BEYOND_HEAD", { uid }, found)];
}

/** Looks for events between two heads; without an end, behind the last. */
async function* ownerless(
  run: Run,
  from: Uint8Array | undefined,
  to: Uint8Array | undefined,
): AsyncGenerator<Findings> {
  let after = from && endOfLog(from);
  for (;;) {
    let next: StoredRecord | undefined;
    try {
      const range = { table: "events", ...(after && { after }), limit: 1 } as const;
      [[next]] = await run.store.records(range);
    } catch (error) {
      if (!(error instanceof DataLossError)) throw error;
      yield { findings: [finding("TABLE_UNREADABLE", {}, "table events, between two logs")] };
      return;
    }
    if (next === undefined) return;
    const uid = next.key.subarray(0, uidLength);
    if (parsed(parseEventKey, next.key) === undefined) {
      yield damaged("the key of an event", {});
      after = next.key;
      continue;
    }
    if (to !== undefined && Buffer.compare(uid, to) > 0) return;
    if (run.uids.find(uid) < 0) yield* ownerlessLog(run, uid);
    after = endOfLog(uid);
    await run.pace.between();
  }
}

async function* ownerlessLog(run: Run, key: Uint8Array): AsyncGenerator<Findings> {
  const shared = await newestShared(run.store, key);
  const uid = uidText(key);
  const [heads, garbage, events] = await run.store.records(
    exactly("heads", key),
    exactly("garbage", key),
    {
      table: "events",
      prefix: key,
      ...(shared > 0 && { after: eventKey({ uid, revision: shared }) }),
      limit: 1,
    },
  );
  // Created since the heads were read, or waiting to be removed, or removed, or needed by forks.
  const [event] = events;
  const isOwned = under(key, heads) !== undefined || under(key, garbage) !== undefined;
  if (isOwned || event === undefined) return;
  const { revision } = parseEventKey(event.key);
  const found = `events from ${revision} on of a session that does not exist`;
  yield { findings: [finding("EVENTS_WITHOUT_SESSION", { uid }, found)] };
}

function endOfLog(uid: Uint8Array): Uint8Array {
  return eventKey({ uid: uidText(uid), revision: lastRevision });
}
