import type { JsonObject } from "@bufbuild/protobuf";
import { type CallOptions, toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { UsageError } from "../errors/client-errors.ts";

/** How the state of a session is patched. */
export interface PatchOptions extends WriteOptions {
  /**
   * Fail with EtagMismatchError if somebody changed the state since this handle last saw it, by
   * `getState` or `patchState`. Default false.
   */
  readonly ifUnchanged?: boolean | undefined;
}

/** The state as a session sees it. */
export interface SeenState {
  readonly values: JsonObject;
  readonly etag: string;
  /** Revision of the event of the patch; 0: it stored nothing, or the state was only read. */
  readonly revision: number;
}

/** Changes keys. `Session.patchState` documents it; `etag` is that of what its handle last saw. */
export async function patchState(
  context: ClientContext,
  args: { sessionId: string; patch: JsonObject; etag: string | undefined },
  options: PatchOptions,
): Promise<SeenState> {
  const { sessionId, patch, etag = "" } = args;
  const { requestId = context.newId(), ifUnchanged = false } = options;
  if (ifUnchanged && etag === "") {
    throw new UsageError("this handle has not seen the state yet; await session.getState() first");
  }
  const { namespace } = context;
  const request = { namespace, sessionId, patch, requestId, etag: ifUnchanged ? etag : "" };
  const call = context.clients.sessions.patchState(request, toConnectOptions(options));
  const answer = await translated(call, { sessionId, requestId });
  return { values: answer.state ?? {}, etag: answer.etag, revision: answer.revision };
}

/** Reads it. `Session.getState` documents it. */
export async function getState(
  context: ClientContext,
  sessionId: string,
  options: CallOptions,
): Promise<SeenState> {
  const { namespace, clients } = context;
  const call = clients.sessions.getState({ namespace, sessionId }, toConnectOptions(options));
  const { state = {}, etag } = await translated(call, { sessionId });
  return { values: state, etag, revision: 0 };
}
