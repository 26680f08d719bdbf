/** What the entries for Node and for browsers have in common. */

export type { AppendOptions, AppendResult } from "./append.ts";
export { BundleError } from "./bundle/bundle-error.ts";
export type { SessionExport } from "./bundle/export-session.ts";
export type { ImportOptions, ImportOutcomeWord } from "./bundle/import-session.ts";
export type { CallOptions, TraceInput, WriteOptions } from "./call-options.ts";
export type {
  Cleanup,
  CleanupMatch,
  CleanupOptions,
  CleanupProgress,
  CleanupTotals,
} from "./cleanup.ts";
export type {
  ClientOptions,
  NamespaceEvent,
  NamespaceWatchOptions,
  SessiondClient,
} from "./client.ts";
export type { Clients } from "./clients.ts";
export type {
  Consumer,
  ConsumerQuery,
  Consumers,
  DeleteConsumerOptions,
} from "./consume/consumers.ts";
export type {
  ConsumedBatch,
  ConsumeHandler,
  ConsumeOptions,
  ConsumerGap,
} from "./consume/options.ts";
export type { Answer, AnswerContext, AnswerText, ConversationView } from "./conversation/answer.ts";
export type { Conversation, HandoffOptions, SendOptions } from "./conversation/conversation.ts";
export type { ConversationInput, Conversations } from "./conversation/conversations.ts";
export type { ConversationMessage } from "./conversation/messages.ts";
export type { DeleteOptions } from "./delete-session.ts";
export type {
  DeletedUserData,
  DeleteUserDataOptions,
  SharingFork,
} from "./delete-user-data.ts";
export type * from "./dialects/anthropic.ts";
export type * from "./dialects/gemini.ts";
export type * from "./dialects/openai-chat.ts";
export type * from "./dialects/openai-responses.ts";
export type { RequestPart, RequestParts } from "./dialects/request-part.ts";
export {
  ClientClosedError,
  ConsumerGapError,
  ServerUnavailableError,
  UsageError,
} from "./errors/client-errors.ts";
export { type CallSubject, fromConnectError } from "./errors/from-connect-error.ts";
export * from "./errors/server-errors.ts";
export { type CodeName, type Reason, SessiondError } from "./errors/sessiond-error.ts";
export type * from "./event-input.ts";
export type { EventQuery } from "./event-list.ts";
export type { ForkInput, SessionParent } from "./fork.ts";
export type {
  RecordedRequest,
  RequestCounters,
  RequestRecord,
} from "./lifecycle/count-request.ts";
export type { IdleOptions } from "./lifecycle/idle.ts";
export { type SessionPart, temporarySession, userSession } from "./lifecycle/session-ids.ts";
export type { PoolGetOptions, PoolOptions, SessionPool } from "./lifecycle/session-pool.ts";
export type { ReasonOptions } from "./lifecycle/transitions.ts";
export {
  type Aggregate,
  type AggregateGroup,
  type AggregateOptions,
  type DefaultMetric,
  defaultMetrics,
  type GetMetricsOptions,
  type Metrics,
  type MetricsQuery,
  type MetricValues,
  type Period,
} from "./metrics/metrics.ts";
export {
  type MetricBasisWord,
  type MetricBucketWord,
  type MetricGroupingWord,
  type MetricWord,
  metricNames,
  type SometimesMetric,
} from "./metrics/words.ts";
export type { Page, PageList } from "./page.ts";
export type { RequestOptions } from "./record-request.ts";
export type { ReplayOptions } from "./replay.ts";
export { type RetryOptions, reliable } from "./retry/policy.ts";
export type { RewindOptions, RewindResult, RewindTarget } from "./rewind.ts";
export type { ActiveRun, StepWork } from "./run/active-run.ts";
export { type RunEventName, runEventNames } from "./run/event-names.ts";
export type { Run } from "./run/run.ts";
export { type RunEvent, runEvents } from "./run/run-events.ts";
export type { RunInput, ShortFields, ToolInput } from "./run/run-input.ts";
export type { RunError, RunResult, RunUsage } from "./run/run-result.ts";
export type { RunWork } from "./run/start-run.ts";
export type { StepDetails } from "./run/step-details.ts";
export type { Step, StepQuery } from "./run/steps.ts";
export type { RunStatus, StepStatusWord, StepTypeWord } from "./run/words.ts";
export type { EndOptions, Session, SessionWatchOptions, UpdateOptions } from "./session.ts";
export { type EventType, type SessionEvent, toSessionEvent } from "./session-event.ts";
export type { ExpiryInput, LimitsInput, SessionChanges, SessionFields } from "./session-input.ts";
export type { SessionQuery } from "./session-list.ts";
export type { CreateOptions, ImportedSession, NewSession, Sessions } from "./sessions.ts";
export type { PatchOptions } from "./state/state.ts";
export type { ClosableTransport } from "./transport/closable-transport.ts";
export type { Watch, WatchOptions } from "./watch.ts";
export type { AmendOptions } from "./window/amendment.ts";
export type {
  Compaction,
  CompactOptions,
  CompactResult,
  ContextUsage,
  RevertOptions,
  WindowChange,
} from "./window/compaction.ts";
export type { CompactionDue, CompactionDueOptions, Summarise } from "./window/compaction-due.ts";
export type {
  ContextWindow,
  GroupExplanation,
  RevisionRange,
  WindowItem,
  WindowTokens,
} from "./window/context-window.ts";
export type { CountInput, TokenCount, TokenCounts } from "./window/count-tokens.ts";
export type { MessagesOptions, WindowOptions } from "./window/get-window.ts";
export type { CompactionPolicyInput, ContextPolicyInput } from "./window/policy-input.ts";
export type { ProtectionChange } from "./window/protection.ts";
export type {
  AccuracyWord,
  CleanupActionWord,
  DialectWord,
  OrderWord,
  ParentKindWord,
  PresetWord,
  RoleWord,
  StateWord,
  StrategyWord,
  TreatmentWord,
} from "./words.ts";
