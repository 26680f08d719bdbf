import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { Session, SessionSchema } from "@sessiond/contract";
import { toDuration } from "./duration.ts";
import { type ContextPolicyInput, toPolicyInit } from "./window/policy-input.ts";
import type { PresetWord } from "./words.ts";

type SessionInit = Exclude<MessageInitShape<typeof SessionSchema>, Session>;

/** Limits of a run; reaching one ends the session. Absent fields: no limit. 0 is refused. */
export interface LimitsInput {
  readonly maxSteps?: number;
  readonly maxTokens?: number;
  readonly timeoutMs?: number;
  readonly maxHistory?: number;
}

/** When a session expires, and how long it is kept after its end. Absent fields: never, kept. */
export interface ExpiryInput {
  /** Time without an event after which it expires. */
  readonly idleTtlMs?: number;
  /** Time after creation after which it expires. */
  readonly ttlMs?: number;
  /** Time after its end after which it is removed. */
  readonly retentionMs?: number;
}

/** What happens when too many of a session's requests fail. Absent fields: as the preset says, else never. */
export interface HealthInput {
  /** Error rate above which answers carry the hint "high_error_rate". 0 to 1; 0: never. */
  readonly warnErrorRate?: number;
  /** Failed requests above which answers carry the hint "many_errors". 0: never. */
  readonly warnErrors?: number;
  /** Error rate above which the session ends as failed. 0 to 1; 0: never. */
  readonly failErrorRate?: number;
  /** Requests from which on a rate counts. Default 10. */
  readonly minRequests?: number;
}

/** Fields of a session that can be changed after its creation. */
export interface SessionChanges {
  readonly agentId?: string;
  readonly userId?: string;
  readonly title?: string;
  /** Task of the run. */
  readonly goal?: string;
  /** What the agent should know beside the goal: a text, a structure, a file reference. */
  readonly context?: NonNullable<SessionInit["context"]>;
  /** System prompt. */
  readonly systemInstructions?: string;
  readonly tools?: NonNullable<SessionInit["tools"]>;
  /** Model the session talks to; chooses the tokenizer. */
  readonly model?: string;
  readonly labels?: Record<string, string>;
  readonly metadata?: JsonObject;
  readonly limits?: LimitsInput;
  readonly expiry?: ExpiryInput;
  /** How its context windows are built. */
  readonly contextPolicy?: ContextPolicyInput;
  /** What the content depends on, for example a git commit. */
  readonly fingerprint?: string;
  /** What happens when too many of its requests fail. */
  readonly healthPolicy?: HealthInput;
}

/** Fields of a new session. */
export interface SessionFields extends SessionChanges {
  /** Sets what the other fields leave open. Default: none, nothing expires. */
  readonly preset?: PresetWord;
  /** Kept in memory only, gone after a restart. */
  readonly ephemeral?: boolean;
}

/** Turns fields into the contract's form; absent fields stay absent. */
export function toSessionInit(fields: SessionFields): SessionInit {
  const { limits, expiry, contextPolicy, ...same } = fields;
  return {
    ...same,
    ...(contextPolicy === undefined ? {} : { contextPolicy: toPolicyInit(contextPolicy) }),
    ...(limits === undefined ? {} : { limits: toLimits(limits) }),
    ...(expiry === undefined ? {} : { expiry: toExpiry(expiry) }),
  };
}

/** Paths of the given fields for an update mask, in the names of the contract. */
export function pathsOf(changes: SessionChanges): string[] {
  return Object.entries(changes)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function toLimits({ timeoutMs, ...counts }: LimitsInput): NonNullable<SessionInit["limits"]> {
  return timeoutMs === undefined
    ? counts
    : { ...counts, timeout: toDuration("timeoutMs", timeoutMs) };
}

function toExpiry({
  idleTtlMs,
  ttlMs,
  retentionMs,
}: ExpiryInput): NonNullable<SessionInit["expiry"]> {
  return {
    ...(idleTtlMs === undefined ? {} : { idleTtl: toDuration("idleTtlMs", idleTtlMs) }),
    ...(ttlMs === undefined ? {} : { ttl: toDuration("ttlMs", ttlMs) }),
    ...(retentionMs === undefined ? {} : { retention: toDuration("retentionMs", retentionMs) }),
  };
}
