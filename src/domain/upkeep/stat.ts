import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  NamespaceStatSchema,
  SessionSchema,
  type SessionStat,
  SessionStatSchema,
  type StoreStat,
  StoreStatSchema,
} from "@sessiond/contract";
import { type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { uidBytes } from "../../store/keys.ts";
import type { Store, StoredRecord, StoredSession } from "../../store/store.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { hasEnded } from "../lifecycle/states.ts";
import { Pace } from "./verify/pace.ts";
import { decoded, exactly, under } from "./verify/walk.ts";

const hourMs = 3_600_000;

/**
 * Measures a store: its size, its namespaces, and the sessions that stand out. Everything but the part
 * that only the server knows, `store`.
 *
 * Looks at sessions for `limits.statMs`, in the order of namespace and name; damaged ones are left out.
 */
export async function statOf(args: { store: Store; clock: Clock }): Promise<StoreStat> {
  const { store, clock } = args;
  const { fileBytes, freeBytes, maxBytes, tables } = await store.size();
  const namespaces = new Map<string, NamespaceCount>();
  const biggest = new Top(({ storedBytes }) => Number(storedBytes));
  const oldest = new Top(({ createTime }) => -(createTime ? timestampMs(createTime) : 0));
  const noisiest = new Top(({ eventsPerHour }) => eventsPerHour);
  let examined = 0;
  for await (const stored of sessionsOf(store)) {
    examined += 1;
    const session = sessionStat(asOf(stored, clock()));
    const { namespace } = session;
    const count = namespaces.get(namespace) ?? new NamespaceCount();
    namespaces.set(namespace, count);
    count.add(session, stored.head);
    biggest.add(session);
    noisiest.add(session);
    if (!hasEnded(asOf(stored, clock()))) oldest.add(session);
  }
  return create(StoreStatSchema, {
    fileBytes: BigInt(fileBytes),
    usedBytes: BigInt(fileBytes - freeBytes),
    freeBytes: BigInt(freeBytes),
    maxBytes: BigInt(maxBytes),
    tables: tables.map(({ name, entries, bytes }) => ({
      name,
      entries: BigInt(entries),
      bytes: BigInt(bytes),
    })),
    sessions: BigInt(tables.find(({ name }) => name === "sessions")?.entries ?? 0),
    sessionsExamined: BigInt(examined),
    namespaces: [...namespaces]
      .sort(([, a], [, b]) => b.storedBytes - a.storedBytes)
      .map(([namespace, count]) => count.stat(namespace)),
    biggest: biggest.list,
    oldest: oldest.list,
    noisiest: noisiest.list,
  });
}

/** Sessions with their heads, until the time is up. */
async function* sessionsOf(store: Store): AsyncGenerator<StoredSession> {
  const endMs = performance.now() + limits.statMs;
  // It has an end of its own, and somebody waits for it.
  const pace = new Pace({ signal: new AbortController().signal, isBusy: () => false });
  let after: Uint8Array | undefined;
  while (performance.now() < endMs) {
    const range = { table: "sessions", ...(after && { after }) } as const;
    const [page] = await store.records({ ...range, limit: limits.verifyRecords });
    after = page.at(-1)?.key;
    if (after === undefined) return;
    const sessions = page.flatMap((record) => decoded(SessionSchema, record) ?? []);
    const heads: readonly (readonly StoredRecord[])[] = await store.records(
      ...sessions.map(({ uid }) => exactly("heads", uidBytes(uid))),
    );
    for (const [index, session] of sessions.entries()) {
      const record = under(uidBytes(session.uid), heads[index]);
      const head = record && decoded(SessionHeadSchema, record);
      if (head !== undefined) yield { session, head };
    }
    await pace.between();
  }
}

function sessionStat({ session, head }: StoredSession): SessionStat {
  const { namespace, sessionId, state, createTime } = session;
  const { lastActivityTime, revision, metrics } = head;
  const beganMs = createTime ? timestampMs(createTime) : 0;
  const lastMs = lastActivityTime ? timestampMs(lastActivityTime) : beganMs;
  return create(SessionStatSchema, {
    namespace,
    sessionId,
    state,
    events: revision,
    storedBytes: BigInt(metrics?.storedBytes ?? 0),
    ...(createTime && { createTime }),
    ...(lastActivityTime && { lastActivityTime }),
    // A session of one second with two events is not noisy.
    eventsPerHour: revision / Math.max(1, (lastMs - beganMs) / hourMs),
  });
}

/** What is counted of one namespace. */
class NamespaceCount {
  storedBytes = 0;
  #sessions = 0;
  #events = 0;
  readonly #states = new Map<SessionStat["state"], number>();

  /** What a fork shares with others is not its own. */
  add(
    { state, events, storedBytes }: SessionStat,
    { inherited, inheritedBytes }: SessionHead,
  ): void {
    this.#sessions += 1;
    this.#events += events - (inherited.at(-1)?.lastRevision ?? 0);
    this.storedBytes += Number(storedBytes) - inheritedBytes;
    this.#states.set(state, (this.#states.get(state) ?? 0) + 1);
  }

  stat(namespace: string) {
    return create(NamespaceStatSchema, {
      namespace,
      sessions: BigInt(this.#sessions),
      events: BigInt(this.#events),
      storedBytes: BigInt(this.storedBytes),
      states: [...this.#states]
        .sort(([a], [b]) => a - b)
        .map(([state, sessions]) => ({ state, sessions: BigInt(sessions) })),
    });
  }
}

/** The few sessions with the largest measure, largest first. */
class Top {
  readonly list: SessionStat[] = [];
  readonly #measure: (session: SessionStat) => number;

  constructor(measure: (session: SessionStat) => number) {
    this.#measure = measure;
  }

  add(session: SessionStat): void {
    const measure = this.#measure(session);
    const at = this.list.findIndex((other) => this.#measure(other) < measure);
    if (at < 0 && this.list.length >= limits.statSessions) return;
    this.list.splice(at < 0 ? this.list.length : at, 0, session);
    if (this.list.length > limits.statSessions) this.list.pop();
  }
}
