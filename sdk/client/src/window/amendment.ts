import type { JsonObject } from "@bufbuild/protobuf";
import { toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { toJsonText } from "../event-input.ts";
import { wholeNumber } from "./checks.ts";
import { toUsage, type WindowChange } from "./compaction.ts";

export interface AmendOptions extends WriteOptions {
  /** Revision the session must be at, else RevisionConflictError. Default: any. */
  readonly expectedRevision?: number | undefined;
}

/** Replaces the arguments of a tool call. `Session.amendToolCall` documents it. */
export async function amendToolCall(
  context: ClientContext,
  amendment: {
    readonly sessionId: string;
    readonly revision: number;
    readonly arguments: string | JsonObject;
  },
  options: AmendOptions,
): Promise<WindowChange> {
  const { requestId = context.newId(), expectedRevision } = options;
  const { sessionId } = amendment;
  const request = {
    namespace: context.namespace,
    sessionId,
    requestId,
    revision: wholeNumber("revision", amendment.revision),
    arguments: toJsonText(amendment.arguments),
    ...(expectedRevision === undefined
      ? {}
      : { expectedRevision: wholeNumber("expectedRevision", expectedRevision) }),
  };
  const call = context.clients.events.amendToolCall(request, toConnectOptions(options));
  const { revision, contextUsage } = await translated(call, { sessionId, requestId });
  return { revision, usage: toUsage(contextUsage) };
}
