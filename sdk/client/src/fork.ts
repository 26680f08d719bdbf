import type { Session as SessionMessage } from "@sessiond/contract";
import { toConnectOptions, type WriteOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { type SessionFields, toSessionInit } from "./session-input.ts";
import { type ParentKindWord, parentKinds, wordFor } from "./words.ts";

/** A fork: where it begins, its name, and the fields in which it differs from its parent. */
export interface ForkInput extends SessionFields {
  /** Newest revision that it shares. Default: the parent's newest. */
  readonly revision?: number | undefined;
  /** Name of the fork. 1 to 200 bytes. Default: the server makes one up. */
  readonly sessionId?: string | undefined;
}

/** Where a session came from. */
export interface SessionParent {
  /** Name that the parent had; of a fork it may be deleted by now. */
  readonly sessionId: string;
  /** Key of the parent's log, which names it whatever it is called now. "" where only its name is known. */
  readonly uid: string;
  /** Newest revision of the parent that the session shares; 0 for a child. */
  readonly revision: number;
  /** Undefined for a kind newer than this client. */
  readonly kind: ParentKindWord | undefined;
}

/** Forks a session. `Session.fork` documents it. */
export async function forkSession(
  context: ClientContext,
  parentId: string,
  { input, options }: { input: ForkInput; options: WriteOptions },
): Promise<SessionMessage> {
  const { requestId = context.newId() } = options;
  const { revision = 0, sessionId: newSessionId = "", ...fields } = input;
  const request = {
    namespace: context.namespace,
    sessionId: parentId,
    revision,
    newSessionId,
    session: toSessionInit(fields),
    requestId,
  };
  const call = context.clients.sessions.forkSession(request, toConnectOptions(options));
  const { session } = await translated(call, { sessionId: parentId, requestId });
  if (session === undefined) throw new TypeError("the server answered without a session");
  return session;
}

export function parentOf({ parent }: SessionMessage): SessionParent | undefined {
  if (parent === undefined) return undefined;
  const { sessionId, uid, revision, kind } = parent;
  return { sessionId, uid, revision, kind: wordFor(parentKinds, kind) };
}
