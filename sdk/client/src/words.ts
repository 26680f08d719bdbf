import {
  EventOrder,
  IfExists,
  Role,
  SessionOrder,
  SessionState,
  WatchStart,
} from "@sessiond/contract";

/** Whose voice an event is. */
export type RoleWord = "system" | "user" | "assistant" | "tool";

/** Named way of working with a session: its expiry, limits and context policy. */
export type PresetWord = "conversation" | "managed" | "memory" | "terminal" | "execution";

/** Where a session is in its life. */
export type StateWord = keyof typeof states;

/** Order of a list: by creation time for sessions, by revision for events. */
export type OrderWord = "oldest" | "newest";

export const roles = {
  system: Role.SYSTEM,
  user: Role.USER,
  assistant: Role.ASSISTANT,
  tool: Role.TOOL,
} satisfies Record<RoleWord, Role>;

export const states = {
  created: SessionState.CREATED,
  active: SessionState.ACTIVE,
  completed: SessionState.COMPLETED,
  failed: SessionState.FAILED,
  cancelled: SessionState.CANCELLED,
  timed_out: SessionState.TIMED_OUT,
  limit_reached: SessionState.LIMIT_REACHED,
  expired: SessionState.EXPIRED,
} as const;

export const sessionOrders = {
  oldest: SessionOrder.OLDEST_FIRST,
  newest: SessionOrder.NEWEST_FIRST,
} satisfies Record<OrderWord, SessionOrder>;

export const eventOrders = {
  oldest: EventOrder.OLDEST_FIRST,
  newest: EventOrder.NEWEST_FIRST,
} satisfies Record<OrderWord, EventOrder>;

/** What to do when a session's name is taken. */
export const ifExists = {
  fail: IfExists.FAIL,
  return: IfExists.RETURN,
  renew: IfExists.RENEW,
} as const;

/** Where a watch without a cursor begins. */
export const watchStarts = {
  beginning: WatchStart.BEGINNING,
  now: WatchStart.NOW,
} as const;

/** The word for a number of the contract; undefined when it is unspecified or newer than this. */
export function wordFor<Word extends string>(
  words: Readonly<Record<Word, number>>,
  value: number,
): Word | undefined {
  return (Object.keys(words) as Word[]).find((word) => words[word] === value);
}
