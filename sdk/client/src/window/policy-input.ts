import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  CompactionPolicy,
  CompactionStrategy,
  ContextPolicy,
  ContextPolicySchema,
} from "@sessiond/contract";
import { toDuration } from "../duration.ts";
import { type StrategyWord, strategies } from "../words.ts";

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

/** Turns a policy into the contract's form; absent fields stay absent. */
export function toPolicyInit({ compaction, callLeaseMs, ...same }: ContextPolicyInput): PolicyInit {
  return {
    ...same,
    ...(compaction === undefined ? {} : { compaction: toCompactionInit(compaction) }),
    ...(callLeaseMs === undefined ? {} : { callLease: toDuration(callLeaseMs) }),
  };
}

function toCompactionInit({ strategy, ...same }: CompactionPolicyInput): CompactionInit {
  if (strategy === undefined) return same;
  return { ...same, strategy: typeof strategy === "string" ? strategies[strategy] : strategy };
}
