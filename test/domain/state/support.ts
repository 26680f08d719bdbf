import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Event,
  GetStateRequestSchema,
  type GetStateResponse,
  PatchStateRequestSchema,
  type PatchStateResponse,
} from "@sessiond/contract";
import type { Change, Committed, Store } from "../../../src/store/store.ts";
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

/** A store whose commits wait, once it holds, until they are let through or made to fail. */
export function holding(inner: Store) {
  const held: { go(): void; fail(error: Error): void }[] = [];
  const control = { hold: false, held, store: inner };
  const commit = async (change: Change): Promise<Committed> => {
    if (control.hold) await new Promise<void>((go, fail) => held.push({ go, fail }));
    return inner.commit(change);
  };
  control.store = new Proxy(inner, {
    get: (target, key) => {
      if (key === "commit") return commit;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return control;
}
