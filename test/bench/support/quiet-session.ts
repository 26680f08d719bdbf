import { IfExists, SessionService } from "@sessiond/contract";
import { createBytes } from "./messages.ts";
import { pathOf, type RawClient } from "./raw-client.ts";

const path = pathOf(SessionService.method.createSession);

/**
 * Makes a session that does not compact by itself, unless it is there. Loaded without a pause a session
 * would compact twenty times a second, which no agent does: a benchmark would measure that, and see events
 * that nobody appended.
 */
export async function createQuietSession(client: RawClient, sessionId: string): Promise<void> {
  const contextPolicy = { compaction: { manual: true } };
  const session = { sessionId, contextPolicy };
  await client.call(path, createBytes({ session, ifExists: IfExists.RETURN }));
}
