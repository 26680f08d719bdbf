import {
  CompactionStrategy,
  type Event,
  Role,
  SessionParentKind,
  StepStatus,
  StepType,
} from "@sessiond/contract";

/*
 * The one place where nouns of the contract become names of OpenTelemetry: those of the semantic conventions
 * for generative AI where there is one, else names of our own under `sessiond.`.
 *
 * The conventions are in development, so constants are copied here instead of imported, as they ask for; a
 * test compares them with the release that is named. Changing it is a change that users see.
 */

/** Release of the semantic conventions that the names are from. */
export const semconvVersion = "1.45.0";
export const schemaUrl = `https://opentelemetry.io/schemas/${semconvVersion}`;

/** Attributes of the conventions, by the names of their constants. */
export const standard = {
  ATTR_ERROR_TYPE: "error.type",
  ATTR_GEN_AI_AGENT_ID: "gen_ai.agent.id",
  ATTR_GEN_AI_AGENT_NAME: "gen_ai.agent.name",
  ATTR_GEN_AI_CONVERSATION_ID: "gen_ai.conversation.id",
  ATTR_GEN_AI_OPERATION_NAME: "gen_ai.operation.name",
  ATTR_GEN_AI_PROVIDER_NAME: "gen_ai.provider.name",
  ATTR_GEN_AI_REQUEST_MODEL: "gen_ai.request.model",
  ATTR_GEN_AI_RESPONSE_MODEL: "gen_ai.response.model",
  ATTR_GEN_AI_TOOL_CALL_ARGUMENTS: "gen_ai.tool.call.arguments",
  ATTR_GEN_AI_TOOL_CALL_ID: "gen_ai.tool.call.id",
  ATTR_GEN_AI_TOOL_CALL_RESULT: "gen_ai.tool.call.result",
  ATTR_GEN_AI_TOOL_NAME: "gen_ai.tool.name",
  ATTR_GEN_AI_TOOL_TYPE: "gen_ai.tool.type",
  ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: "gen_ai.usage.cache_read.input_tokens",
  ATTR_GEN_AI_USAGE_INPUT_TOKENS: "gen_ai.usage.input_tokens",
  ATTR_GEN_AI_USAGE_OUTPUT_TOKENS: "gen_ai.usage.output_tokens",
  ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: "gen_ai.usage.reasoning.output_tokens",
  ATTR_SERVICE_NAME: "service.name",
  ATTR_SERVICE_VERSION: "service.version",
} as const;

/** Values of `gen_ai.operation.name`. */
export const operations = {
  GEN_AI_OPERATION_NAME_VALUE_CHAT: "chat",
  GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL: "execute_tool",
  GEN_AI_OPERATION_NAME_VALUE_INVOKE_AGENT: "invoke_agent",
} as const;

/** Value of `gen_ai.tool.type`: the agent runs the tool, not the provider. */
export const toolType = "function";

/** Value of `error.type` where nothing more exact is known. */
export const otherError = "_OTHER";

/** Attributes that the conventions have no name for. */
export const own = {
  namespace: "sessiond.namespace",
  sessionUid: "sessiond.session.uid",
  sessionState: "sessiond.session.state",
  sessionLimit: "sessiond.session.limit",
  parentSession: "sessiond.parent.session_id",
  parentKind: "sessiond.parent.kind",
  revision: "sessiond.revision",
  turn: "sessiond.turn",
  step: "sessiond.step",
  stepType: "sessiond.step.type",
  stepName: "sessiond.step.name",
  stepStatus: "sessiond.step.status",
  kind: "sessiond.kind",
  eventId: "sessiond.event_id",
  role: "sessiond.role",
  author: "sessiond.author",
  tokens: "sessiond.tokens",
  cost: "sessiond.cost",
  durationMs: "sessiond.duration_ms",
  processingMs: "sessiond.request.processing_ms",
  retryable: "sessiond.error.retryable",
  isError: "sessiond.tool.is_error",
  isFinal: "sessiond.tool.is_final",
  approvalId: "sessiond.approval.id",
  approved: "sessiond.approval.approved",
  handoffFrom: "sessiond.handoff.from",
  handoffTo: "sessiond.handoff.to",
  customType: "sessiond.custom.type",
  visibleThrough: "sessiond.rewind.revision",
  parentRevision: "sessiond.parent.revision",
  strategy: "sessiond.compaction.strategy",
  tokensBefore: "sessiond.compaction.tokens_before",
  tokensAfter: "sessiond.compaction.tokens_after",
  summaryTokens: "sessiond.compaction.summary_tokens",
  savedCost: "sessiond.compaction.saved_cost",
  input: "sessiond.step.input",
  output: "sessiond.step.output",
  firstRevision: "sessiond.first_revision",
  lastRevision: "sessiond.last_revision",
  /** The span's beginning is not known: it starts where it ends, or earlier by its own duration. */
  startUnknown: "sessiond.span.start_unknown",
  /** What the span is of was never said to be over; it ends with its session. */
  unfinished: "sessiond.span.unfinished",
} as const;

/** Names of spans that the conventions have no operation for. */
export const spanNames = { step: "step", compaction: "compact" } as const;

/** Names of what happened, by the payload of the event. */
export const eventNames = {
  message: "sessiond.message",
  thinking: "sessiond.thinking",
  toolCall: "sessiond.tool_call",
  toolResult: "sessiond.tool_result",
  approvalRequest: "sessiond.approval_request",
  approvalResponse: "sessiond.approval_response",
  output: "sessiond.output",
  error: "sessiond.error",
  stepStarted: "sessiond.step_started",
  stepCompleted: "sessiond.step_completed",
  sessionStarted: "sessiond.session_started",
  sessionEnded: "sessiond.session_ended",
  handoff: "sessiond.handoff",
  requestRecorded: "sessiond.request_recorded",
  stateChanged: "sessiond.state_changed",
  rewind: "sessiond.rewind",
  amendment: "sessiond.amendment",
  compaction: "sessiond.compaction",
  compactionReverted: "sessiond.compaction_reverted",
  protectionChanged: "sessiond.protection_changed",
  redaction: "sessiond.redaction",
  custom: "sessiond.custom",
  sessionReopened: "sessiond.session_reopened",
  forked: "sessiond.forked",
  compactionDue: "sessiond.compaction_due",
} as const satisfies Record<NonNullable<Event["payload"]["case"]>, string>;

/** Names of what happened to a log, and is no event of it. */
export const noticeNames = {
  session_deleted: "sessiond.session_deleted",
  events_damaged: "sessiond.events_damaged",
  gap: "sessiond.gap",
} as const;

export const stepWords = {
  [StepType.UNSPECIFIED]: "",
  [StepType.THINKING]: "thinking",
  [StepType.TOOL_CALL]: "tool_call",
  [StepType.TOOL_RESULT]: "tool_result",
  [StepType.OUTPUT]: "output",
  [StepType.ERROR]: "error",
} as const satisfies Record<StepType, string>;

export const statusWords = {
  [StepStatus.UNSPECIFIED]: "",
  [StepStatus.SUCCEEDED]: "succeeded",
  [StepStatus.FAILED]: "failed",
  [StepStatus.CANCELLED]: "cancelled",
} as const satisfies Record<StepStatus, string>;

export const roleWords = {
  [Role.UNSPECIFIED]: "",
  [Role.SYSTEM]: "system",
  [Role.USER]: "user",
  [Role.ASSISTANT]: "assistant",
  [Role.TOOL]: "tool",
} as const satisfies Record<Role, string>;

export const strategyWords = {
  [CompactionStrategy.UNSPECIFIED]: "extract",
  [CompactionStrategy.DROP]: "drop",
  [CompactionStrategy.EXTRACT]: "extract",
  [CompactionStrategy.CLIENT]: "client",
  [CompactionStrategy.HTTP]: "http",
} as const satisfies Record<CompactionStrategy, string>;

export const parentWords = {
  [SessionParentKind.UNSPECIFIED]: "",
  [SessionParentKind.FORK]: "fork",
  [SessionParentKind.CHILD]: "child",
} as const satisfies Record<SessionParentKind, string>;

/** Values of `gen_ai.provider.name`, by how names of models begin. */
const providers: readonly (readonly [RegExp, string])[] = [
  [/^(?:gpt-|chatgpt-|o[1-9])/, "openai"],
  [/^claude-/, "anthropic"],
  [/^gemini-/, "gcp.gemini"],
  [/^(?:mistral|ministral|codestral|magistral)-/, "mistral_ai"],
  [/^deepseek-/, "deepseek"],
  [/^grok-/, "x_ai"],
  [/^command-/, "cohere"],
];

/** The provider of a model, as far as its name says. Undefined: it does not. */
export function providerOf(model: string): string | undefined {
  return providers.find(([pattern]) => pattern.test(model))?.[1];
}
