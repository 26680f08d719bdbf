import {
  CleanupAction,
  CompactionStrategy,
  Dialect,
  EventOrder,
  IfExists,
  Role,
  SessionOrder,
  SessionParentKind,
  SessionState,
  TokenAccuracy,
  Treatment,
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

/** A model provider's form of a window. */
export type DialectWord = keyof typeof dialects;

/** What a window does to an event; "dropped" stands in explanations only. */
export type TreatmentWord = keyof typeof treatments;

/** How the summary of a compaction is made. */
export type StrategyWord = keyof typeof strategies;

/** What a cleanup does to sessions. */
export type CleanupActionWord = keyof typeof cleanupActions;

/** What a session is to its parent. */
export type ParentKindWord = keyof typeof parentKinds;

/** How sure a token count is. */
export type AccuracyWord = keyof typeof accuracies;

export const cleanupActions = {
  expire: CleanupAction.EXPIRE,
  fail: CleanupAction.FAIL,
  delete: CleanupAction.DELETE,
} as const;

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

export const parentKinds = {
  fork: SessionParentKind.FORK,
  child: SessionParentKind.CHILD,
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

export const dialects = {
  "openai-chat": Dialect.OPENAI_CHAT,
  "openai-responses": Dialect.OPENAI_RESPONSES,
  anthropic: Dialect.ANTHROPIC_MESSAGES,
  gemini: Dialect.GEMINI,
} as const;

export const treatments = {
  kept: Treatment.KEPT,
  shortened: Treatment.SHORTENED,
  summarised: Treatment.SUMMARISED,
  retrieved: Treatment.RETRIEVED,
  synthetic: Treatment.SYNTHETIC,
  dropped: Treatment.DROPPED,
} as const;

export const strategies = {
  drop: CompactionStrategy.DROP,
  extract: CompactionStrategy.EXTRACT,
  client: CompactionStrategy.CLIENT,
  http: CompactionStrategy.HTTP,
} as const;

export const accuracies = {
  exact: TokenAccuracy.EXACT,
  estimated: TokenAccuracy.ESTIMATED,
  reported: TokenAccuracy.REPORTED,
} as const;

/** The word for a number of the contract; undefined when it is unspecified or newer than this. */
export function wordFor<Word extends string>(
  words: Readonly<Record<Word, number>>,
  value: number,
): Word | undefined {
  return (Object.keys(words) as Word[]).find((word) => words[word] === value);
}
