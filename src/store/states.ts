import type { Change, StateChange } from "./store.ts";

/** What a change does to states, the same in every engine: a deleted session takes its own along. */
export function stateChangesOf(change: Change): readonly StateChange[] {
  const { key, before, after, states = [] } = change;
  if (before === undefined || after !== undefined) return states;
  return [...states, { scope: { of: "session", namespace: key.namespace, uid: key.uid } }];
}
