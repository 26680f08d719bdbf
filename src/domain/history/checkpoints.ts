import { create } from "@bufbuild/protobuf";
import { ContextStateSchema, type SessionHead } from "@sessiond/contract/store";

/** Events between two checkpoints at the least; a head that is large is kept less often. */
export const checkpointSpacing = 64;
const entriesPerEvent = 2;

/**
 * The head as a checkpoint when one is due. A fork at any revision starts from the checkpoint before it
 * and replays what follows, so it takes the same time in a log of any length.
 */
export function withCheckpoint(head: SessionHead): SessionHead {
  const state = head.context ?? create(ContextStateSchema);
  const { protected: guarded, lateMembers, openCalls, amendedCalls, hidden, hiddenCalls } = state;
  const lists = [guarded, lateMembers, openCalls, amendedCalls, hidden, hiddenCalls];
  const entries = lists.reduce((sum, list) => sum + list.length, 0);
  const dueAfter = checkpointSpacing + entries / entriesPerEvent;
  return head.revision - head.checkpointRevision < dueAfter ? head : asCheckpoint(head);
}

/** The head as a checkpoint: for changes of it that no event tells whole, so that none is replayed. */
export function asCheckpoint(head: SessionHead): SessionHead {
  return { ...head, checkpointRevision: head.revision };
}
