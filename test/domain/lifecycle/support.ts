import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CancelSessionRequestSchema,
  type CancelSessionResponse,
  type Event,
  type EventSchema,
  ListSessionsRequestSchema,
  ReopenSessionRequestSchema,
  type ReopenSessionResponse,
  type SessionState,
} from "@sessiond/contract";
import type { TestDomain } from "../../support/domain.ts";

export const sessionId = "demo";

/** How a session of a test expires, in milliseconds. */
export interface Expiry {
  readonly idleTtl?: number;
  readonly ttl?: number;
  readonly retention?: number;
}

export function expiryOf({ idleTtl, ttl, retention }: Expiry) {
  return {
    ...(idleTtl !== undefined && { idleTtl: durationFromMs(idleTtl) }),
    ...(ttl !== undefined && { ttl: durationFromMs(ttl) }),
    ...(retention !== undefined && { retention: durationFromMs(retention) }),
  };
}

export function cancel(
  domain: TestDomain,
  request: MessageInitShape<typeof CancelSessionRequestSchema> = {},
): Promise<CancelSessionResponse> {
  return domain.lifecycle.cancel(create(CancelSessionRequestSchema, { sessionId, ...request }));
}

export function reopen(
  domain: TestDomain,
  request: MessageInitShape<typeof ReopenSessionRequestSchema> = {},
): Promise<ReopenSessionResponse> {
  return domain.lifecycle.reopen(create(ReopenSessionRequestSchema, { sessionId, ...request }));
}

/** Ids of the sessions in a state, oldest first. */
export async function listed(domain: TestDomain, state: SessionState): Promise<string[]> {
  const request = create(ListSessionsRequestSchema, { state, order: 2, pageSize: 1_000 });
  const { sessions } = await domain.list.list(request);
  return sessions.map((session) => session.sessionId);
}

export function toolCall(callId: string): MessageInitShape<typeof EventSchema> {
  return { payload: { case: "toolCall", value: { callId, name: "search", arguments: "{}" } } };
}

export function toolResult(callId: string): MessageInitShape<typeof EventSchema> {
  return { payload: { case: "toolResult", value: { callId, content: "found" } } };
}

export function thinking(text: string): MessageInitShape<typeof EventSchema> {
  return { payload: { case: "thinking", value: { text } } };
}

export function output(text: string): MessageInitShape<typeof EventSchema> {
  return { payload: { case: "output", value: { text } } };
}

/** What the events of a log are, in short. */
export function kindsOf(events: readonly Event[]): (string | undefined)[] {
  return events.map(({ payload }) => payload.case);
}
