import type { Session as SessionMessage } from "@sessiond/contract";
import { toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";

/** Why a session is cancelled or reopened. */
export interface ReasonOptions extends WriteOptions {
  /** In words, up to 4 KiB. Default: nothing said. */
  readonly reason?: string | undefined;
}

/** What became of the session. */
export interface Transition {
  readonly session: SessionMessage | undefined;
  /** This call did it; otherwise the session was so before. */
  readonly changed: boolean;
}

/** Cancels a session. `Session.cancel` documents it. */
export async function cancelSession(
  context: ClientContext,
  sessionId: string,
  options: ReasonOptions,
): Promise<Transition> {
  const { request, subject } = toRequest(context, sessionId, options);
  const call = context.clients.sessions.cancelSession(request, toConnectOptions(options));
  const { session, cancelled } = await translated(call, subject);
  return { session, changed: cancelled };
}

/** Reopens a session. `Session.reopen` documents it. */
export async function reopenSession(
  context: ClientContext,
  sessionId: string,
  options: ReasonOptions,
): Promise<Transition> {
  const { request, subject } = toRequest(context, sessionId, options);
  const call = context.clients.sessions.reopenSession(request, toConnectOptions(options));
  const { session, reopened } = await translated(call, subject);
  return { session, changed: reopened };
}

function toRequest(context: ClientContext, sessionId: string, options: ReasonOptions) {
  const { requestId = context.newId(), reason = "" } = options;
  const { namespace } = context;
  return {
    request: { namespace, sessionId, reason, requestId },
    subject: { sessionId, requestId },
  };
}
