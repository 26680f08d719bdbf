import { type Event, Role } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import type { Group } from "./groups.ts";
import type { WindowPolicy } from "./policy.ts";

/** Which groups of a log belong to a window before its size is looked at. */
export interface Scope {
  /** Newest revision that a compaction covers; what is at or before it is only there by name. */
  readonly coveredThrough: number;
  /** First revisions of groups that must stay. */
  readonly required: ReadonlySet<number>;
  /** First revisions of covered groups that stay. */
  readonly spared: ReadonlySet<number>;
}

export function scopeOf(state: ContextState): Scope {
  const { compaction, protected: events, turnRevision, newestGroup, openCalls } = state;
  const required = new Set(events.map(({ group }) => group));
  if (turnRevision > 0) required.add(turnRevision);
  if (newestGroup !== undefined) required.add(newestGroup.firstRevision);
  for (const { group, revision } of openCalls) if (revision > turnRevision) required.add(group);
  return {
    coveredThrough: compaction?.coveredThrough ?? 0,
    required,
    spared: new Set(compaction?.sparedGroups),
  };
}

/** The groups of a scope among those that were read, within the newest turns and messages. */
export function visibleGroups(
  groups: readonly Group[],
  args: { scope: Scope; policy: WindowPolicy; authors: readonly string[] },
): Group[] {
  const { scope, policy, authors } = args;
  const { coveredThrough, required, spared } = scope;
  const inScope = groups.filter(
    (group) =>
      (group.first > coveredThrough || spared.has(group.first) || required.has(group.first)) &&
      isOfAuthors(group, authors),
  );
  const begin = beginOfHistory(inScope, policy);
  return inScope.filter(({ first }) => first >= begin || required.has(first));
}

/** First revision that the newest turns and messages of a policy reach back to. */
function beginOfHistory(groups: readonly Group[], { maxTurns, maxMessages }: WindowPolicy): number {
  if (maxTurns === 0 && maxMessages === 0) return 0;
  let turns = 0;
  let messages = 0;
  let begin = Number.MAX_SAFE_INTEGER;
  for (const group of groups.toReversed()) {
    if (maxMessages > 0 && messages + messagesIn(group) > maxMessages) break;
    messages += messagesIn(group);
    if (maxTurns > 0 && turns === maxTurns) break;
    if (group.events.some(isUserMessage)) turns++;
    begin = group.first;
  }
  return begin;
}

function messagesIn({ events }: Group): number {
  return events.filter(({ payload }) => payload.case === "message").length;
}

export function isUserMessage({ payload, role }: Event): boolean {
  return payload.case === "message" && role === Role.USER;
}

/** Users and instructions speak to everybody; of agents, only the named ones. */
function isOfAuthors({ events }: Group, authors: readonly string[]): boolean {
  const [event] = events;
  if (authors.length === 0 || event === undefined) return true;
  if (event.payload.case === "message" && event.role !== Role.ASSISTANT) return true;
  return authors.includes(event.author);
}

/** Whether the newest events of a log are more than a window of the policy could show. */
export function enoughFor(policy: WindowPolicy, largestResult: number) {
  // Counts may be of another encoding than the window's, so a margin is read.
  const tokens = 1.5 * policy.room;
  return (events: readonly Event[]): boolean => {
    let sum = 0;
    let turns = 0;
    let messages = 0;
    for (const event of events) {
      const count = event.group === 0 ? 0 : (event.tokens?.count ?? 0);
      sum += event.payload.case === "toolResult" ? Math.min(count, largestResult) : count;
      if (isUserMessage(event)) turns++;
      if (event.payload.case === "message") messages++;
    }
    if (policy.maxTurns > 0 && turns > policy.maxTurns) return true;
    return (policy.maxMessages > 0 && messages > policy.maxMessages) || sum > tokens;
  };
}
