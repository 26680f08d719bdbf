import { create } from "@bufbuild/protobuf";
import {
  type DeleteUserDataRequest,
  DeleteUserDataRequestSchema,
  type DeleteUserDataResponse,
  DeleteUserDataResponseSchema,
} from "@sessiond/contract";
import { DataLossError, ShuttingDownError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import type { SessionPosition, Store, StoredSession } from "../../store/store.ts";
import type { Removals } from "../children/removals.ts";
import { forgetUser } from "../metrics/forget-user.ts";
import { namespaceOf } from "../names.ts";
import { paced } from "../pace.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";
import { positionOf, walkChunk } from "../session-walk.ts";
import type { State } from "../state/state.ts";
import { Turns } from "../turns.ts";
import { validate } from "../validation/validate.ts";
import { findRelated } from "./related.ts";

/** Whose data, and what was met of it so far. */
interface Work {
  readonly namespace: string;
  readonly userId: string;
  /** Ids of sessions that were found, so that each counts once. */
  readonly found: Set<string>;
  /** Ids of those that cannot be read. */
  readonly failed: Set<string>;
}

/** A session of the user. */
type Found = SessionName & { readonly uid: string };

/** Deletes what the store has of a user. */
export class UserData {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #removals: Removals;
  readonly #state: Pick<State, "removeUser">;
  readonly #clock: Clock;
  readonly #shutdown: AbortSignal;
  readonly #limit: number;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    removals: Removals;
    state: Pick<State, "removeUser">;
    clock: Clock;
    shutdown: AbortSignal;
    /** Sessions of one call. Default from `limits.ts`. */
    limit?: number;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#removals = args.removals;
    this.#state = args.state;
    this.#clock = args.clock;
    this.#shutdown = args.shutdown;
    this.#limit = args.limit ?? limits.userSessions;
  }

  /** Errors: as documented at the rpc. */
  async delete(request: DeleteUserDataRequest): Promise<DeleteUserDataResponse> {
    validate(DeleteUserDataRequestSchema, request);
    const { userId, dryRun } = request;
    const namespace = namespaceOf(request.namespace);
    const work: Work = { namespace, userId, found: new Set(), failed: new Set() };
    const answer = create(DeleteUserDataResponseSchema);
    // The user may get sessions while others are deleted: until a round finds none.
    for (;;) {
      const { sessions, more } = await this.#find(work, this.#limit - answer.matched);
      answer.more = more;
      if (sessions.length === 0) break;
      answer.matched += sessions.length;
      // Before their parents are gone, which tell whose history it is.
      const children = await this.#addForks(work, sessions, answer);
      if (dryRun) {
        answer.childCount = children;
        break;
      }
      await this.#deleteAll(work, sessions, answer);
      if (more) break;
    }
    // Last: a session that is still there could bring it back.
    if (!dryRun && !answer.more) {
      await this.#state.removeUser({ namespace, userId });
      await forgetUser({ store: this.#store, clock: this.#clock }, { namespace, userId });
    }
    answer.failed = work.failed.size;
    return answer;
  }

  /** Up to `limit` sessions of the user that were not met before; `more`: there are others. */
  async #find(work: Work, limit: number): Promise<{ sessions: Found[]; more: boolean }> {
    const { namespace, userId, found, failed } = work;
    const sessions: Found[] = [];
    const turns = new Turns();
    const onLeftOut = (sessionId: string) => failed.add(sessionId);
    let after: SessionPosition | undefined;
    for (;;) {
      const stretch = await this.#store.listSessions({
        namespace,
        index: { by: "user", value: userId },
        limit: walkChunk,
        onLeftOut,
        ...(after && { after }),
      });
      for (const stored of stretch) {
        const { sessionId, uid } = stored.session;
        after = positionOf(stored);
        if (found.has(sessionId) || failed.has(sessionId)) continue;
        if (sessions.length >= limit) return { sessions, more: true };
        found.add(sessionId);
        sessions.push({ namespace, sessionId, uid });
      }
      if (stretch.length < walkChunk) return { sessions, more: false };
      await turns.yield();
    }
  }

  /** Adds the forks to the answer; gives how many sessions of others are children of these. */
  async #addForks(
    { namespace, userId }: Work,
    sessions: readonly Found[],
    answer: DeleteUserDataResponse,
  ): Promise<number> {
    const found = await findRelated({ store: this.#store, namespace, sessions, userId });
    answer.forkCount += found.forks.length;
    answer.forks.push(...found.forks.slice(0, limits.namedForks - answer.forks.length));
    return found.children;
  }

  async #deleteAll(
    { userId, found, failed }: Work,
    sessions: readonly Found[],
    answer: DeleteUserDataResponse,
  ): Promise<void> {
    const isWanted = ({ session }: StoredSession) => session.userId === userId;
    const noteGone = (sessionId: string) => {
      answer.deleted += 1;
      // Under its name the user may get another.
      found.delete(sessionId);
    };
    const onChild = ({ session }: StoredSession) => {
      if (session.userId !== userId) answer.childCount += 1;
      else if (found.has(session.sessionId)) noteGone(session.sessionId);
      // Of the user as well, but not met yet: the count of the sessions that were found has it, too.
      else {
        answer.matched += 1;
        answer.deleted += 1;
      }
    };
    await paced(sessions, async (name) => {
      if (this.#shutdown.aborted) throw new ShuttingDownError();
      try {
        await this.#cells.use(name, async (cell) => {
          const gone = await this.#removals.remove(cell, { isWanted, onChild });
          if (gone) noteGone(name.sessionId);
        });
      } catch (error) {
        if (!(error instanceof DataLossError)) throw error;
        failed.add(name.sessionId);
      }
    });
  }
}
