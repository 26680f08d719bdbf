import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  CompactionPolicy,
  CompactionStrategy,
  ContextPolicy,
  ContextPolicySchema,
} from "@sessiond/contract";
import { toDuration } from "../duration.ts";
import { type StrategyWord, strategies } from "../words.ts";
import { meaningOf, wholeNumber } from "./checks.ts";

type PolicyInit = Exclude<MessageInitShape<typeof ContextPolicySchema>, ContextPolicy>;
type CompactionInit = Exclude<NonNullable<PolicyInit["compaction"]>, CompactionPolicy>;

/** When and how older events give way. Absent fields: as the contract says. */
export interface CompactionPolicyInput extends Omit<CompactionInit, "strategy"> {
  /** How the summary is made. Default "extract". */
  readonly strategy?: StrategyWord | CompactionStrategy;
}

/** How context windows of a session are built. Absent fields: as the contract says. */
export interface ContextPolicyInput extends Omit<PolicyInit, "compaction" | "callLease"> {
  readonly compaction?: CompactionPolicyInput;
  /** Time after which a tool call without a result counts as dead. Default an hour. */
  readonly callLeaseMs?: number;
}

/** Turns a policy into the contract's form; absent fields stay absent. Errors: UsageError. */
export function toPolicyInit({ compaction, callLeaseMs, ...same }: ContextPolicyInput): PolicyInit {
  for (const [name, value] of Object.entries(same)) {
    if (typeof value === "number") wholeNumber(`policy.${name}`, value);
  }
  return {
    ...same,
    ...(compaction === undefined ? {} : { compaction: toCompactionInit(compaction) }),
    ...(callLeaseMs === undefined ? {} : { callLease: toDuration("callLeaseMs", callLeaseMs) }),
  };
}

function toCompactionInit({ strategy, ...same }: CompactionPolicyInput): CompactionInit {
  const { triggerTurns = 0, triggerMessages = 0 } = same;
  wholeNumber("policy.compaction.triggerTurns", triggerTurns);
  wholeNumber("policy.compaction.triggerMessages", triggerMessages);
  if (strategy === undefined) return same;
  const isWord = typeof strategy === "string";
  const name = "policy.compaction.strategy";
  return {
    ...same,
    strategy: isWord ? meaningOf(name, { words: strategies, word: strategy }) : strategy,
  };
}
