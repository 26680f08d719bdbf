import { create } from "@bufbuild/protobuf";
import {
  type DeleteUserDataRequest,
  DeleteUserDataRequestSchema,
  type DeleteUserDataResponse,
  DeleteUserDataResponseSchema,
} from "@sessiond/contract";
import { DataLossError, ShuttingDownError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { SessionPosition, Store } from "../../store/store.ts";
import { namespaceOf } from "../names.ts";
import { paced } from "../pace.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";
import { positionOf, walkChunk } from "../session-walk.ts";
import type { State } from "../state/state.ts";
import { Turns } from "../turns.ts";
import { validate } from "../validation/validate.ts";
import { findForks } from "./forks.ts";

/** Whose data, and what was met of it so far. */
interface Work {
  readonly namespace: string;
  readonly userId: string;
  /** Ids of sessions that were found, so that each counts once. */
  readonly found: Set<string>;
  /** Ids of those that cannot be read. */
  readonly failed: Set<string>;
}

/** Deletes what the store has of a user. */
export class UserData {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #state: Pick<State, "removeUser">;
  readonly #shutdown: AbortSignal;
  readonly #limit: number;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    state: Pick<State, "removeUser">;
    shutdown: AbortSignal;
    /** Sessions of one call. Default from `limits.ts`. */
    limit?: number;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#state = args.state;
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
      const { names, more } = await this.#find(work, this.#limit - answer.matched);
      answer.more = more;
      if (names.length === 0) break;
      answer.matched += names.length;
      // Before their parents are gone, which tell whose history it is.
      await this.#addForks(work, names, answer);
      if (dryRun) break;
      await this.#deleteAll(work, names, answer);
      if (more) break;
    }
    // Last: a session that is still there could bring it back.
    if (!dryRun && !answer.more) await this.#state.removeUser({ namespace, userId });
    answer.failed = work.failed.size;
    return answer;
  }

  /** Up to `limit` sessions of the user that were not met before; `more`: there are others. */
  async #find(work: Work, limit: number): Promise<{ names: SessionName[]; more: boolean }> {
    const { namespace, userId, found, failed } = work;
    const names: SessionName[] = [];
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
        const { sessionId } = stored.session;
        after = positionOf(stored);
        if (found.has(sessionId) || failed.has(sessionId)) continue;
        if (names.length >= limit) return { names, more: true };
        found.add(sessionId);
        names.push({ namespace, sessionId });
      }
      if (stretch.length < walkChunk) return { names, more: false };
      await turns.yield();
    }
  }

  async #addForks(
    { namespace, userId }: Work,
    names: readonly SessionName[],
    answer: DeleteUserDataResponse,
  ): Promise<void> {
    const parents = new Set(names.map(({ sessionId }) => sessionId));
    const forks = await findForks({ store: this.#store, namespace, parents, userId });
    answer.forkCount += forks.length;
    answer.forks.push(...forks.slice(0, limits.namedForks - answer.forks.length));
  }

  async #deleteAll(
    { userId, found, failed }: Work,
    names: readonly SessionName[],
    answer: DeleteUserDataResponse,
  ): Promise<void> {
    await paced(names, async (name) => {
      if (this.#shutdown.aborted) throw new ShuttingDownError();
      try {
        await this.#cells.use(name, async (cell) => {
          if (cell.latest?.session.userId !== userId) return;
          await cell.commit({ events: [] });
          answer.deleted += 1;
          // Under its name the user may get another.
          found.delete(name.sessionId);
        });
      } catch (error) {
        if (!(error instanceof DataLossError)) throw error;
        failed.add(name.sessionId);
      }
    });
  }
}
