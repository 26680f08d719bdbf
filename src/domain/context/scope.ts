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

/** No compaction covers the group, or it stays all the same. */
export function isInScope({ first }: Group, { coveredThrough, spared, required }: Scope): boolean {
  return first > coveredThrough || spared.has(first) || required.has(first);
}

/** The groups of a scope among those that were read, within the newest turns and messages. */
export function visibleGroups(
  groups: readonly Group[],
  args: { scope: Scope; policy: WindowPolicy; authors: readonly string[] },
): Group[] {
  const { scope, policy, authors } = args;
  const { required } = scope;
  const inScope = groups.filter(
    (group) => isInScope(group, scope) && isOfAuthors(group.events[0], authors),
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
function isOfAuthors(event: Event | undefined, authors: readonly string[]): boolean {
  if (authors.length === 0 || event === undefined) return true;
  if (event.payload.case === "message" && event.role !== Role.ASSISTANT) return true;
  return authors.includes(event.author);
}

/** Share of the counted tokens that a window shows at least, of counts in its own encoding. */
const shownShare = 2 / 3;

/** The same of counts in another encoding, which may have several tokens for one of the window's. */
const recountedShare = 1 / 4;

/**
 * Whether the newest events of a log are more than a window of the policy could show.
 *
 * Thinking of the turns before the current one does not count: a window leaves it out before it drops
 * a group.
 */
export function enoughFor(args: {
  policy: WindowPolicy;
  authors: readonly string[];
  /** Tokens that a shortened tool result has at most. */
  largestResult: number;
}) {
  const { policy, authors, largestResult } = args;
  const { room, maxTurns, maxMessages } = policy;
  return (events: readonly Event[]): boolean => {
    let shown = 0;
    let turns = 0;
    let messages = 0;
    for (const event of events.toReversed()) {
      const { payload } = event;
      if (!isOfAuthors(event, authors)) continue;
      if (payload.case !== "thinking" || turns === 0) {
        shown += leastShown(event, policy, largestResult);
      }
      if (isUserMessage(event)) turns++;
      if (payload.case === "message") messages++;
    }
    if (maxTurns > 0 && turns > maxTurns) return true;
    return (maxMessages > 0 && messages > maxMessages) || shown > room;
  };
}

/** Tokens that a window shows of an event at least, by its count at append. */
function leastShown(
  { group, tokens, payload }: Event,
  { encoding }: WindowPolicy,
  largestResult: number,
): number {
  if (group === 0 || tokens === undefined) return 0;
  const share = tokens.encoding === encoding.encoding ? shownShare : recountedShare;
  const shown = tokens.count * share;
  return payload.case === "toolResult" ? Math.min(shown, largestResult * shownShare) : shown;
}
