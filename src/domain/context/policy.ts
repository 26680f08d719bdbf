import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  CompactionPolicySchema,
  CompactionStrategy,
  type ContextPolicy,
  ContextPolicySchema,
  type Session,
  type ToolResultPolicy,
  ToolResultPolicySchema,
} from "@sessiond/contract";
import { encodingForModel, type ModelEncoding, toEncoding } from "../tokens/encodings.ts";

/** A policy with every default filled in. Sizes in tokens. */
export interface WindowPolicy {
  readonly tokenBudget: number;
  readonly reservedOutputTokens: number;
  /** What the budget leaves for the window. */
  readonly room: number;
  readonly protectedTokenBudget: number;
  readonly encoding: ModelEncoding;
  readonly toolResults: ToolResultPolicy;
  readonly maxTurns: number;
  readonly maxMessages: number;
  readonly strategy: CompactionStrategy;
  /** Window tokens at which a compaction is due, and that it leaves. */
  readonly triggerTokens: number;
  readonly targetTokens: number;
  readonly triggerTurns: number;
  readonly triggerMessages: number;
  /** Compaction never starts by itself. */
  readonly manual: boolean;
  /** Tokens a summary may have. */
  readonly maxSummaryTokens: number;
  readonly callLeaseMs: number;
  readonly storeThinking: boolean;
}

/** What one request wants otherwise than the session's policy says. */
export interface Overrides {
  /** Fields that are set replace the session's. */
  readonly policy?: ContextPolicy | undefined;
  /** Stronger than `policy`. */
  readonly tokenBudget?: number | undefined;
  readonly reservedOutputTokens?: number | undefined;
  /** "": the session's. An encoding is stronger than a model. */
  readonly encoding?: string;
  readonly model?: string;
}

const defaultTokenBudget = 8_000;
const defaultTriggerRatio = 0.95;
const defaultTargetRatio = 0.6;
const defaultCallLeaseMs = 60 * 60 * 1_000;

/** Share of the room that a summary may take: a third of what a compaction leaves by default. */
const summaryRatio = 0.2;

/**
 * The policy of a session's windows: its own, with the fields that are set in `over` replaced.
 *
 * Errors: NotSupportedError for an encoding without a tokenizer.
 */
export function windowPolicy(session: Session, over?: Overrides): WindowPolicy {
  if (over !== undefined) return resolved(session, over);
  const known = ownPolicies.get(session);
  if (known !== undefined) return known;
  const policy = resolved(session, {});
  ownPolicies.set(session, policy);
  return policy;
}

/** Sessions are replaced, never changed, and each append asks several times for its session's policy. */
const ownPolicies = new WeakMap<Session, WindowPolicy>();

function resolved(session: Session, over: Overrides): WindowPolicy {
  const own = session.contextPolicy ?? create(ContextPolicySchema);
  const other = over.policy ?? create(ContextPolicySchema);
  const tokenBudget =
    over.tokenBudget || other.tokenBudget || own.tokenBudget || defaultTokenBudget;
  const reservedOutputTokens = Math.min(
    tokenBudget,
    over.reservedOutputTokens ?? (other.reservedOutputTokens || own.reservedOutputTokens),
  );
  const room = tokenBudget - reservedOutputTokens;
  const compaction = other.compaction ?? own.compaction ?? create(CompactionPolicySchema);
  const encodingName = over.encoding || other.encoding || (over.model ? "" : own.encoding);
  const lease = other.callLease ?? own.callLease;
  return {
    tokenBudget,
    reservedOutputTokens,
    room,
    protectedTokenBudget:
      other.protectedTokenBudget ||
      own.protectedTokenBudget ||
      Math.floor(Math.max(tokenBudget, own.tokenBudget || defaultTokenBudget) / 2),
    encoding: encodingOf({ encoding: encodingName, model: over.model, session }),
    toolResults: other.toolResults ?? own.toolResults ?? create(ToolResultPolicySchema),
    maxTurns: other.maxTurns || own.maxTurns,
    maxMessages: session.limits?.maxHistory ?? 0,
    strategy: compaction.strategy || CompactionStrategy.EXTRACT,
    // A share like 0.07 of 100 is 7, whatever binary fractions make of it.
    triggerTokens: Math.ceil((compaction.triggerRatio || defaultTriggerRatio) * room - 1e-6),
    targetTokens: Math.floor((compaction.targetRatio || defaultTargetRatio) * room),
    triggerTurns: compaction.triggerTurns,
    triggerMessages: compaction.triggerMessages,
    manual: compaction.manual,
    maxSummaryTokens: Math.max(1, Math.floor(summaryRatio * room)),
    callLeaseMs: lease === undefined ? defaultCallLeaseMs : durationMs(lease),
    storeThinking: other.storeThinking ?? own.storeThinking ?? true,
  };
}

/** The encoding that events of a session are counted in when they are appended. */
export function sessionEncoding(session: Session): ModelEncoding {
  return windowPolicy(session).encoding;
}

function encodingOf(args: {
  encoding: string | undefined;
  model?: string | undefined;
  session: Session;
}): ModelEncoding {
  if (args.encoding) return { encoding: toEncoding(args.encoding), factor: 1 };
  return encodingForModel(args.model || args.session.model);
}
