import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  type DeleteSessionResponse,
  type IfExists,
  ListSessionsRequestSchema,
  type Session,
  type SessionSchema,
} from "@sessiond/contract";
import { parentUidOf } from "../../../src/store/indexes.ts";
import type { Store } from "../../../src/store/store.ts";
import type { TestDomain } from "../../support/domain.ts";

/** Makes a child of a session. */
export function child(
  domain: TestDomain,
  sessionId: string,
  parentSessionId: string,
  options: {
    readonly session?: Exclude<MessageInitShape<typeof SessionSchema>, Session>;
    readonly ifExists?: IfExists;
    readonly requestId?: string;
  } = {},
): Promise<Session> {
  const session = { ...options.session, sessionId };
  return domain.create({ ...options, session, parentSessionId });
}

export function remove(domain: TestDomain, sessionId: string): Promise<DeleteSessionResponse> {
  return domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}

/** Ids of all sessions, or of the children of one, oldest first. */
export async function idsOf(domain: TestDomain, parentSessionId = ""): Promise<string[]> {
  const request = { parentSessionId, order: 2, pageSize: 1_000 };
  const { sessions } = await domain.list.list(create(ListSessionsRequestSchema, request));
  return sessions.map(({ sessionId }) => sessionId);
}

/**
 * Follows the commits of a store, in their order, and notes every child that is there without its parent
 * behind one of them: what a crash at that moment would leave.
 */
export function watchOrphans(store: Store): readonly string[] {
  const parents = new Map<string, string | undefined>();
  const orphans: string[] = [];
  store.onCommit(({ change: { key, after, before } }) => {
    if (after !== undefined) {
      const parent = parentUidOf(after.session);
      parents.set(key.uid, parent);
      if (parent !== undefined && !parents.has(parent)) orphans.push(after.session.sessionId);
    } else if (before !== undefined) {
      parents.delete(key.uid);
      for (const [uid, parent] of parents) if (parent === key.uid) orphans.push(uid);
    }
  });
  return orphans;
}
