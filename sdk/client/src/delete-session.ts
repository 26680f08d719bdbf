import { toConnectOptions, type WriteOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";

export interface DeleteOptions extends WriteOptions {
  /** A session that does not exist is no error. Default false. */
  readonly allowMissing?: boolean | undefined;
  /** Called when it is deleted, with how many children, and theirs, went with it. */
  readonly onDeleted?: ((deleted: { readonly childCount: number }) => void) | undefined;
}

/** Deletes a session with its log and its children. Resolves to whether there was one. */
export async function deleteSession(
  context: ClientContext,
  sessionId: string,
  options: DeleteOptions,
): Promise<boolean> {
  const { requestId = context.newId(), allowMissing = false } = options;
  const request = { namespace: context.namespace, sessionId, allowMissing, requestId };
  const call = context.clients.sessions.deleteSession(request, toConnectOptions(options));
  const { deleted, childCount } = await translated(call, { sessionId, requestId });
  if (deleted) options.onDeleted?.({ childCount });
  return deleted;
}
