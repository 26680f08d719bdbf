import type {
  CompactSessionResponse,
  Compaction as ContractCompaction,
  ContextUsage as ContractUsage,
} from "@sessiond/contract";
import { toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { type StrategyWord, strategies, wordFor } from "../words.ts";
import { meaningOf, wholeNumber } from "./checks.ts";
import { type RevisionRange, toRange } from "./context-window.ts";

export interface CompactOptions extends WriteOptions {
  /** How the summary is made. Default: the session's policy. */
  readonly strategy?: StrategyWord | undefined;
  /** Share of the budget, without reserved output, to leave, up to 1. Default: the policy's. */
  readonly targetRatio?: number | undefined;
  /** Revision the session must be at, else RevisionConflictError. Default: any. */
  readonly expectedRevision?: number | undefined;
}

export interface RevertOptions extends WriteOptions {
  /** Revision of the compaction, which must be the one in force. Default: whichever is. */
  readonly compactionRevision?: number | undefined;
}

/** How full the session's window is, by its own policy. */
export interface ContextUsage {
  readonly windowTokens: number;
  readonly budget: number;
  /** `windowTokens` / (`budget` - reserved output). */
  readonly ratio: number;
  readonly compactionDue: boolean;
}

/** What a compaction did. */
export interface Compaction {
  /** Revisions that left the window, with those of the compactions before. */
  readonly covered: readonly RevisionRange[];
  /** Undefined for a strategy newer than this client. */
  readonly strategy: StrategyWord | undefined;
  /** Text that stands where they stood; empty for "drop". Untrusted like any model output. */
  readonly summary: string;
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

/** What a call that changed the session's window did. */
export interface WindowChange {
  /** Revision of the event that records it; 0 when there was nothing to take away. */
  readonly revision: number;
  readonly usage: ContextUsage;
}

/** What `compact` and `submitSummary` did. */
export interface CompactResult extends WindowChange {
  /**
   * Undefined when there was nothing to take away, and for strategy "client", where `revision` is
   * that of the `compactionDue` event that waits for a summary.
   */
  readonly compaction: Compaction | undefined;
}

/** Compacts a session. `Session.compact` documents it. */
export async function compactSession(
  context: ClientContext,
  sessionId: string,
  options: CompactOptions,
): Promise<CompactResult> {
  const { requestId = context.newId(), strategy, targetRatio = 0, expectedRevision } = options;
  const request = {
    namespace: context.namespace,
    sessionId,
    requestId,
    targetRatio,
    ...(strategy === undefined
      ? {}
      : { strategy: meaningOf("strategy", { words: strategies, word: strategy }) }),
    ...(expectedRevision === undefined
      ? {}
      : { expectedRevision: wholeNumber("expectedRevision", expectedRevision) }),
  };
  const call = context.clients.context.compactSession(request, toConnectOptions(options));
  return toResult(await translated(call, { sessionId, requestId }));
}

/** Takes a compaction back. `Session.revertCompaction` documents it. */
export async function revertCompaction(
  context: ClientContext,
  sessionId: string,
  options: RevertOptions,
): Promise<WindowChange> {
  const { requestId = context.newId(), compactionRevision = 0 } = options;
  const request = {
    namespace: context.namespace,
    sessionId,
    requestId,
    compactionRevision: wholeNumber("compactionRevision", compactionRevision),
  };
  const call = context.clients.context.revertCompaction(request, toConnectOptions(options));
  const { revision, contextUsage } = await translated(call, { sessionId, requestId });
  return { revision, usage: toUsage(contextUsage) };
}

/** Answers a `compactionDue` event. `Session.submitSummary` documents it. */
export async function submitSummary(
  context: ClientContext,
  answer: { sessionId: string; dueRevision: number; summary: string },
  options: WriteOptions,
): Promise<CompactResult> {
  const { requestId = context.newId() } = options;
  wholeNumber("dueRevision", answer.dueRevision);
  const request = { namespace: context.namespace, ...answer, requestId };
  const call = context.clients.context.submitSummary(request, toConnectOptions(options));
  return toResult(await translated(call, { sessionId: answer.sessionId, requestId }));
}

/** The light form of the usage. */
export function toUsage(message: ContractUsage | undefined): ContextUsage {
  return {
    windowTokens: message?.windowTokens ?? 0,
    budget: message?.tokenBudget ?? 0,
    ratio: message?.ratio ?? 0,
    compactionDue: message?.compactionDue ?? false,
  };
}

type Answer = Pick<CompactSessionResponse, "revision" | "compaction" | "contextUsage">;

function toResult({ revision, compaction, contextUsage }: Answer): CompactResult {
  return {
    revision,
    compaction: compaction && toCompaction(compaction),
    usage: toUsage(contextUsage),
  };
}

function toCompaction(message: ContractCompaction): Compaction {
  const { covered, strategy, summary, tokensBefore, tokensAfter } = message;
  return {
    covered: covered.map(toRange),
    strategy: wordFor(strategies, strategy),
    summary,
    tokensBefore,
    tokensAfter,
  };
}
