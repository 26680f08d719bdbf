import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { WatchStart } from "@sessiond/contract";
import type { ConsumerRecord } from "@sessiond/contract/store";
import type { CursorPlace } from "../../cursor.ts";
import { SessionDeletedError } from "../../errors.ts";
import { uidBytes, uidText } from "../../store/keys.ts";
import type { ConsumerName, Store, StoredSession } from "../../store/store.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";

/** Sessions of one millisecond that are looked at together for the one of a uid. */
const sessionsPerLook = 64;

/** The session of a consumer that is about to be created. */
export interface NamedSource {
  readonly record: Pick<ConsumerRecord, "sessionId" | "sessionUid" | "sessionCreateTime">;
  readonly headRevision: number;
}

/** Finds what consumers read: a session by its uid, or a namespace. */
export class ConsumerSources {
  readonly #store: Store;
  readonly #cells: SessionCells;

  constructor({ store, cells }: { store: Store; cells: SessionCells }) {
    this.#store = store;
    this.#cells = cells;
  }

  /** The session that has a name now; undefined for no name. Errors: SessionNotFoundError. */
  async named(name: SessionName): Promise<NamedSource | undefined> {
    if (name.sessionId === "") return undefined;
    return this.#cells.use(name, (cell) => {
      const { session, head } = cell.requireDurable();
      const sessionCreateTime = session.createTime ?? timestampFromMs(0);
      const sessionUid = Uint8Array.from(uidBytes(session.uid));
      const record = { sessionId: name.sessionId, sessionUid, sessionCreateTime };
      return { record, headRevision: head.revision };
    });
  }

  /** Where a new consumer begins. What was deleted so long ago that it is told no more is no news to it. */
  start(args: { namespace: string; start: WatchStart; headRevision?: number }): CursorPlace {
    const { namespace, start, headRevision } = args;
    if (start === WatchStart.NOW) {
      const place = headRevision ?? this.#store.namespaceOffset(namespace);
      return { place, knownThrough: place };
    }
    const gone = headRevision === undefined ? this.#store.namespaceGoneThrough(namespace) : 0;
    return { place: 0, knownThrough: gone };
  }

  /**
   * Name of the session that a consumer reads: a session that was renewed has another one now.
   *
   * Errors: SessionDeletedError when it is there no more.
   */
  async session(namespace: string, record: ConsumerRecord): Promise<SessionName> {
    const found = await this.#find(namespace, record);
    if (found === undefined) throw new SessionDeletedError(record);
    return { namespace, sessionId: found.session.sessionId };
  }

  /** The newest place of what a consumer reads; undefined when its session is gone. */
  async newest({ namespace }: ConsumerName, record: ConsumerRecord): Promise<number | undefined> {
    if (record.sessionUid.length === 0) return this.#store.namespaceOffset(namespace);
    return (await this.#find(namespace, record))?.head.revision;
  }

  async #find(
    namespace: string,
    { sessionId, sessionUid, sessionCreateTime }: ConsumerRecord,
  ): Promise<StoredSession | undefined> {
    const uid = uidText(sessionUid);
    const hasUid = (stored: StoredSession | undefined) => stored?.session.uid === uid;
    const named = await this.#cells.use({ namespace, sessionId }, ({ durable }) => durable);
    if (hasUid(named)) return named;
    if (sessionCreateTime === undefined) return undefined;
    const createTimeMs = Math.floor(timestampMs(sessionCreateTime));
    let after = { createTimeMs, sessionId: "" };
    for (;;) {
      const index = { by: "all" } as const;
      const limit = sessionsPerLook;
      const page = await this.#store.listSessions({ namespace, index, after, limit });
      const found = page.find(hasUid);
      if (found !== undefined) return this.#cells.durable(found);
      const last = page.at(-1)?.session;
      const lastMs = last?.createTime && Math.floor(timestampMs(last.createTime));
      if (last === undefined || lastMs !== createTimeMs || page.length < limit) return undefined;
      after = { createTimeMs, sessionId: last.sessionId };
    }
  }
}
