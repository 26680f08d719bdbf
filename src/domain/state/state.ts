import { create, type JsonObject } from "@bufbuild/protobuf";
import {
  type GetStateRequest,
  GetStateRequestSchema,
  type GetStateResponse,
  GetStateResponseSchema,
  type PatchStateRequest,
  PatchStateRequestSchema,
  type PatchStateResponse,
  PatchStateResponseSchema,
  type Session,
} from "@sessiond/contract";
import { EtagMismatchError, SessionNotFoundError } from "../../errors.ts";
import type { Clock, Ids } from "../../ids.ts";
import type { StateScope, Store, StoredSession } from "../../store/store.ts";
import { remembered, withoutEffect } from "../answers.ts";
import { namespaceOf } from "../names.ts";
import type { Admit, Quotas } from "../quotas/quotas.ts";
import type { Remember, Requests } from "../requests.ts";
import { noUid, type SessionCell, type SessionCells, type SessionName } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { changedBy, patchState, type Sight, sightOf } from "./decision.ts";
import { type ScopedPatch, scopedPatch } from "./keys.ts";
import type { ScopeHolds, StateScopes } from "./scopes.ts";
import { patched, type Records, stateEtag, stateView } from "./values.ts";

/** Patches and reads the state of sessions, and what they share of it. */
export class State {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #scopes: StateScopes;
  readonly #requests: Requests;
  readonly #quotas: Quotas;
  readonly #clock: Clock;
  readonly #ids: Ids;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    scopes: StateScopes;
    requests: Requests;
    quotas: Quotas;
    clock: Clock;
    ids: Ids;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#scopes = args.scopes;
    this.#requests = args.requests;
    this.#quotas = args.quotas;
    this.#clock = args.clock;
    this.#ids = args.ids;
  }

  /** Errors: as documented at the rpc; so for `get`. */
  async patch(request: PatchStateRequest): Promise<PatchStateResponse> {
    validate(PatchStateRequestSchema, request);
    const patch = scopedPatch(request.patch ?? {});
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: PatchStateRequestSchema,
        message: request,
        responseSchema: PatchStateResponseSchema,
        memory: {
          part: (response) => ({ ...response, state: {} }),
          whole: async (part) => ({ ...part, state: await this.#stateOfRepeat(name, patch) }),
        },
      },
      (remember) =>
        this.#quotas.within(name, (admit) =>
          this.#cells.use(name, async (cell) => {
            for (;;) {
              const sight = sightOf(cell.requireLatest());
              const response = await this.#scopes.hold(holdsFor(sight, patch, request.etag), () =>
                this.#patch(cell, { sight, patch, etag: request.etag, admit, remember }),
              );
              if (response !== undefined) return response;
            }
          }),
        ),
    );
  }

  async get(request: GetStateRequest): Promise<GetStateResponse> {
    validate(GetStateRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    const { session, records } = await this.#durable(name);
    return create(GetStateResponseSchema, {
      state: stateView(records),
      etag: stateEtag(session, records),
    });
  }

  #durable(name: SessionName): Promise<{ session: Session; records: Records }> {
    return this.#cells.use(name, async (cell) => {
      // A deletion under way takes the state along; the store may show that before it is durable.
      if (cell.latest?.session.uid !== cell.durable?.session.uid) {
        await cell.settled().catch(() => {});
      }
      const durable = cell.requireDurable();
      return { session: durable.session, records: await this.#read(sightOf(durable)) };
    });
  }

  /**
   * What a repeated patch shows: values are not stored a second time to remember an answer, and those
   * under `temp:` not even once. Of a session that is gone only the latter are left.
   */
  async #stateOfRepeat(name: SessionName, { temp }: ScopedPatch): Promise<JsonObject> {
    const values = patched({}, temp);
    try {
      const { records } = await this.#durable(name);
      return stateView(records, values);
    } catch (error) {
      if (!(error instanceof SessionNotFoundError)) throw error;
      return stateView({}, values);
    }
  }

  /**
   * Removes the `user:` keys of a user, for all sessions, durably; also when the record is damaged.
   * Safe to repeat. Logs keep their `state_changed` events.
   *
   * Errors: those of `Store.commit`.
   */
  async removeUser({ namespace, userId }: { namespace: string; userId: string }): Promise<void> {
    const scope: StateScope = { of: "user", namespace, userId };
    const key = { namespace, sessionId: "", uid: noUid };
    await this.#scopes.hold({ changed: [scope] }, () =>
      this.#store.commit({ key, events: [], states: [{ scope }] }),
    );
  }

  /** Patches what is held. Undefined: the session sees other scopes by now. */
  async #patch(
    cell: SessionCell,
    args: {
      sight: Sight;
      patch: ScopedPatch;
      etag: string;
      admit: Admit;
      remember: Remember<typeof PatchStateResponseSchema>;
    },
  ): Promise<PatchStateResponse | undefined> {
    const { sight, patch, etag, admit, remember } = args;
    const found = await this.#read(sight);
    // From here to the commit nothing waits: the decision is made on the latest session.
    const before = cell.requireLatest();
    if (!sees(before, sight)) return undefined;
    const actual = stateEtag(before.session, found);
    if (etag !== "" && etag !== actual) {
      const { sessionId } = cell.name;
      throw new EtagMismatchError({ sessionId, part: "state", expected: etag, actual });
    }
    const { records, stored } = patchState(before, {
      records: found,
      patch,
      nowMs: this.#clock(),
      newVersion: () => this.#ids.uid(),
    });
    const response = create(PatchStateResponseSchema, {
      state: stateView(records, patched({}, patch.temp)),
      etag: stateEtag(before.session, records),
      revision: stored?.outcome.after.head.revision ?? 0,
      durability: this.#store.capabilities.durability,
    });
    if (stored === undefined) return withoutEffect(cell, response, remember(response));
    const { outcome, states } = stored;
    admit(before, outcome.after);
    await cell.commit({ ...outcome, states, ...remembered(remember(response)) });
    return response;
  }

  async #read(sight: Sight): Promise<Records> {
    const scopes = [sight.session, sight.user, sight.app].filter((scope) => scope !== undefined);
    const records = await this.#scopes.read(scopes);
    return Object.fromEntries(scopes.map(({ of }, index) => [of, records[index]]));
  }
}

/** With an etag nothing that it names may change until the commit; without, only what is patched. */
function holdsFor(sight: Sight, patch: ScopedPatch, etag: string): ScopeHolds {
  const names = changedBy(patch);
  const scopes = Object.values(sight);
  const changed = scopes.filter(({ of }) => names.includes(of));
  return { changed, kept: etag === "" ? [] : scopes.filter((scope) => !changed.includes(scope)) };
}

function sees(stored: StoredSession, { session, user }: Sight): boolean {
  const now = sightOf(stored);
  return isSame(now.session, session) && isSame(now.user, user);
}

function isSame(a: StateScope | undefined, b: StateScope | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
