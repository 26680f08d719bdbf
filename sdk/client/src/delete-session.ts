import { toConnectOptions, type WriteOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";

export interface DeleteOptions extends WriteOptions {
  /** A session that does not exist is no error. Default false. */
  readonly allowMissing?: boolean | undefined;
}

/** Deletes a session with its log. Resolves to whether there was one. */
export async function deleteSession(
  context: ClientContext,
  sessionId: string,
  options: DeleteOptions,
): Promise<boolean> {
  const { requestId = context.newId(), allowMissing = false } = options;
  const request = { namespace: context.namespace, sessionId, allowMissing, requestId };
  const call = context.clients.sessions.deleteSession(request, toConnectOptions(options));
  return (await translated(call, { sessionId, requestId })).deleted;
}
