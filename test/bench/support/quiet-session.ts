import { create, toBinary } from "@bufbuild/protobuf";
import { CreateSessionRequestSchema, IfExists, SessionService } from "@sessiond/contract";
import { pathOf, type RawClient } from "./raw-client.ts";

const path = pathOf(SessionService.method.createSession);

/**
 * Makes a session that does not compact by itself, unless it is there. Loaded without a pause a session
 * would compact twenty times a second, which no agent does: a benchmark would measure that, and see events
 * that nobody appended.
 */
export async function createQuietSession(client: RawClient, sessionId: string): Promise<void> {
  const contextPolicy = { compaction: { manual: true } };
  const request = { session: { sessionId, contextPolicy }, ifExists: IfExists.RETURN };
  const message = create(CreateSessionRequestSchema, request);
  await client.call(path, Buffer.from(toBinary(CreateSessionRequestSchema, message)));
}
