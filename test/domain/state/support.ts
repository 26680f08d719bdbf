import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Event,
  GetStateRequestSchema,
  type GetStateResponse,
  PatchStateRequestSchema,
  type PatchStateResponse,
} from "@sessiond/contract";
import type { StateRecord } from "@sessiond/contract/store";
import { stateKey } from "../../../src/store/keys.ts";
import type { Change, Committed, StateScope, Store } from "../../../src/store/store.ts";
import type { TestDomain } from "../../support/domain.ts";

export const sessionId = "demo";

/** Patches session "demo", or the one that is named. */
export function patch(
  domain: TestDomain,
  values: JsonObject,
  request: MessageInitShape<typeof PatchStateRequestSchema> = {},
): Promise<PatchStateResponse> {
  const message = create(PatchStateRequestSchema, { sessionId, patch: values, ...request });
  return domain.state.patch(message);
}

export function getState(
  domain: TestDomain,
  request: MessageInitShape<typeof GetStateRequestSchema> = {},
): Promise<GetStateResponse> {
  return domain.state.get(create(GetStateRequestSchema, { sessionId, ...request }));
}

/** What a session sees. */
export async function seen(domain: TestDomain, id = sessionId): Promise<JsonObject | undefined> {
  return (await getState(domain, { sessionId: id })).state;
}

/** The patches that a log has recorded, oldest first. */
export function recorded(events: readonly Event[]): JsonObject[] {
  return events.flatMap(({ payload }) =>
    payload.case === "stateChanged" ? [payload.value.patch ?? {}] : [],
  );
}

/**
 * A store whose commits wait, once it holds, until they are let through or made to fail. As on a disk
 * their states can be read before they are acknowledged.
 */
export function holding(inner: Store) {
  const held: { go(): void; fail(error: Error): void }[] = [];
  const early = new Map<string, StateRecord | undefined>();
  const control = { hold: false, held, store: inner };
  const commit = async (change: Change): Promise<Committed> => {
    if (control.hold) {
      const { states = [] } = change;
      for (const { scope, record } of states) early.set(nameOf(scope), record);
      await new Promise<void>((go, fail) => held.push({ go, fail })).finally(() => {
        for (const { scope } of states) early.delete(nameOf(scope));
      });
    }
    return inner.commit(change);
  };
  const readState: Store["getState"] = async (scope) =>
    early.has(nameOf(scope)) ? early.get(nameOf(scope)) : inner.getState(scope);
  control.store = new Proxy(inner, {
    get: (target, key) => {
      if (key === "commit") return commit;
      if (key === "getState") return readState;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return control;
}

const nameOf = (scope: StateScope) => stateKey(scope).toString("hex");
