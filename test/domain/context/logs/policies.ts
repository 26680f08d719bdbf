import type { MessageInitShape } from "@bufbuild/protobuf";
import { CompactionStrategy, type ContextPolicySchema } from "@sessiond/contract";
import fc from "fast-check";

export type PolicyInit = MessageInitShape<typeof ContextPolicySchema>;

/** Policies of sessions: small budgets, so that what is generated is compacted often. */
export const policies: fc.Arbitrary<PolicyInit> = fc.constantFrom<PolicyInit[]>(
  {},
  { compaction: { manual: true } },
  { tokenBudget: 1_500, compaction: { strategy: CompactionStrategy.DROP } },
  { tokenBudget: 1_500, compaction: { strategy: CompactionStrategy.EXTRACT } },
  { tokenBudget: 3_000, compaction: { targetRatio: 0.3 } },
  { compaction: { triggerTurns: 2 } },
  { compaction: { triggerMessages: 5, strategy: CompactionStrategy.DROP } },
);
