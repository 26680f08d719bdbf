import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  ForkSessionRequestSchema,
  RewindSessionRequestSchema,
  type RewindSessionResponse,
  type Session,
} from "@sessiond/contract";
import type { TestDomain } from "../../support/domain.ts";

export async function fork(
  domain: TestDomain,
  request: MessageInitShape<typeof ForkSessionRequestSchema>,
): Promise<Session> {
  const { session } = await domain.forks.fork(create(ForkSessionRequestSchema, request));
  if (session === undefined) throw new Error("no session in the answer");
  return session;
}

/** Rewinds the session "s" unless the request names another. */
export function rewind(
  domain: TestDomain,
  request: MessageInitShape<typeof RewindSessionRequestSchema>,
): Promise<RewindSessionResponse> {
  return domain.rewinds.rewind(create(RewindSessionRequestSchema, { sessionId: "s", ...request }));
}

/** Deletes a session and frees what nobody needs any more. */
export async function remove(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
  while (await domain.store.maintain({ nowMs: domain.now, limit: 100 })) {
    // Each call does a bounded piece.
  }
}
