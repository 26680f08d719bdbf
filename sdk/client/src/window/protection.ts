import { toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { toUsage, type WindowChange } from "./compaction.ts";

/** What a change of protection did. */
export interface ProtectionChange extends WindowChange {
  /** Tokens of all protected events of the session, without the first user message. */
  readonly protectedTokens: number;
  /** Tokens they may have. */
  readonly protectedBudget: number;
}

/** Switches the protection of events. `Session.protect` documents it. */
export async function setProtection(
  context: ClientContext,
  change: {
    readonly sessionId: string;
    readonly revisions: readonly number[];
    readonly reason?: string;
    readonly unprotect?: boolean;
  },
  options: WriteOptions,
): Promise<ProtectionChange> {
  const { requestId = context.newId() } = options;
  const { sessionId } = change;
  const revisions = [...change.revisions];
  const request = { namespace: context.namespace, ...change, revisions, requestId };
  const call = context.clients.context.setProtection(request, toConnectOptions(options));
  const message = await translated(call, { sessionId, requestId });
  return {
    revision: message.revision,
    protectedTokens: message.protectedTokens,
    protectedBudget: message.protectedTokenBudget,
    usage: toUsage(message.contextUsage),
  };
}
