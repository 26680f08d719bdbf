import { limits } from "../../limits.ts";

/**
 * What a field of the contract takes beyond its type.
 *
 * Tables of these are keyed by the message's full name and the field's name in the contract, so
 * that they read beside the .proto files. A field that is not listed is free within its type.
 */
export interface FieldRule {
  /** Only the server writes it: callers must leave it at its default. */
  readonly setByServer?: true;
  /** Must not be absent or empty. */
  readonly required?: true;
  /** Largest size of a text in UTF-8, or of a Struct or Value in its binary form. */
  readonly maxBytes?: number;
  /** Most entries of a list or map. */
  readonly maxItems?: number;
  /** What is wrong with an optional number that is set to 0, and what to do about it. */
  readonly zero?: string;
  /** Smallest and largest number. */
  readonly min?: number;
  readonly max?: number;
  /** What a text that is not empty has to match, and that in words. */
  readonly pattern?: { readonly regexp: RegExp; readonly words: string };
  /** Which texts are taken. */
  readonly oneOf?: readonly string[];
  /** Largest sizes of the keys and values of a map of texts. */
  readonly keyBytes?: number;
  readonly valueBytes?: number;
  /** A Duration: shortest one taken. */
  readonly minMs?: number;
}

const KiB = 1024;
const setByServer = { setByServer: true } as const;

export const printable = {
  // Neither NUL and other control characters nor line breaks, and no white space at either end.
  // Joiners stay, because emoji and several scripts need them.
  regexp: /^(?!\s)[^\p{Cc}\p{Zl}\p{Zp}]+(?<!\s)$/u,
  words: "printable text without line breaks or spaces at its ends",
};
const word = { maxBytes: limits.idBytes, pattern: printable };
const namespace = {
  maxBytes: limits.namespaceBytes,
  pattern: { regexp: /^[A-Za-z0-9._-]+$/, words: "letters, digits, '.', '_' and '-'" },
};
const sessionName = { namespace, session_id: { ...word, required: true } } as const;
const request = { request_id: word };
const consumerName = {
  maxBytes: limits.consumerNameBytes,
  pattern: {
    regexp: /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    words: "letters, digits, '.', '_' and '-', beginning with a letter or digit",
  },
};
const consumer = { namespace, name: { ...consumerName, required: true } } as const;
const sha256 = {
  required: true,
  pattern: { regexp: /^[0-9a-f]{64}$/, words: "64 hexadecimal digits in lower case" },
} as const;
const reason = { maxBytes: 4 * KiB };
const structure = { maxBytes: limits.metadataBytes };
const value = { maxBytes: 256 * KiB };
const ratio = { min: 0, max: 1 };
const limit = {
  zero: "0 would allow nothing; leave it out, or give a number from 1 on",
};
const filter = { maxBytes: limits.ruleBytes };
const labels = {
  maxItems: limits.labels,
  keyBytes: limits.labelKeyBytes,
  valueBytes: limits.labelValueBytes,
};

export const rules: Readonly<Record<string, Readonly<Record<string, FieldRule>>>> = {
  "sessiond.v1.Session": {
    namespace,
    session_id: word,
    uid: setByServer,
    state: setByServer,
    preset: { oneOf: ["conversation", "managed", "memory", "terminal", "execution"] },
    agent_id: word,
    user_id: word,
    title: { maxBytes: 1_000 },
    goal: { maxBytes: 64 * KiB },
    context: value,
    system_instructions: { maxBytes: 256 * KiB },
    tools: { maxItems: limits.tools },
    model: word,
    labels,
    metadata: structure,
    end: setByServer,
    parent: setByServer,
    fingerprint: { maxBytes: limits.idBytes },
    create_time: setByServer,
    update_time: setByServer,
    last_activity_time: setByServer,
    start_time: setByServer,
    end_time: setByServer,
    expire_time: setByServer,
    head_revision: setByServer,
    metrics: setByServer,
    etag: setByServer,
    reopen_time: setByServer,
  },
  "sessiond.v1.Tool": {
    name: { ...word, required: true },
    description: { maxBytes: 16 * KiB },
    input_schema: structure,
  },
  "sessiond.v1.SessionEnd": {
    reason,
    error_code: word,
    error_message: { maxBytes: 16 * KiB },
    limit: setByServer,
  },
  "sessiond.v1.SessionLimits": {
    max_steps: limit,
    max_tokens: limit,
    timeout: { minMs: 1 },
    max_history: limit,
  },
  "sessiond.v1.SessionExpiry": {
    idle_ttl: { minMs: 1 },
    ttl: { minMs: 1 },
    retention: { minMs: 0 },
  },
  "sessiond.v1.HealthPolicy": { warn_error_rate: ratio, fail_error_rate: ratio },
  "sessiond.v1.ContextPolicy": {
    encoding: word,
    protection_rules: { maxItems: 64 },
    call_lease: { minMs: 1 },
  },
  "sessiond.v1.CompactionPolicy": { trigger_ratio: ratio, target_ratio: ratio },
  "sessiond.v1.ProtectionRule": {
    expression: { maxBytes: 2 * KiB, required: true },
    reason: { maxBytes: limits.kindBytes, required: true },
  },

  "sessiond.v1.Event": {
    revision: setByServer,
    event_id: word,
    create_time: setByServer,
    author: word,
    turn: setByServer,
    step: setByServer,
    kind: { maxBytes: limits.kindBytes, pattern: printable },
    duration: { minMs: 0 },
    metadata: structure,
    tokens: setByServer,
    protection: setByServer,
    group: setByServer,
    call_revision: setByServer,
    session_started: setByServer,
    session_ended: setByServer,
    session_reopened: setByServer,
    state_changed: setByServer,
    rewind: setByServer,
    amendment: setByServer,
    compaction: setByServer,
    compaction_reverted: setByServer,
    protection_changed: setByServer,
    redaction: setByServer,
    forked: setByServer,
    compaction_due: setByServer,
  },
  "sessiond.v1.Message": { parts: { maxItems: limits.parts } },
  "sessiond.v1.ImageReference": {
    uri: { maxBytes: 8 * KiB, required: true },
    media_type: word,
  },
  "sessiond.v1.FileReference": {
    uri: { maxBytes: 8 * KiB, required: true },
    media_type: word,
  },
  "sessiond.v1.ToolCall": {
    call_id: { ...word, required: true },
    name: { ...word, required: true },
  },
  "sessiond.v1.ToolResult": {
    call_id: { ...word, required: true },
    parts: { maxItems: limits.parts },
  },
  "sessiond.v1.ApprovalRequest": {
    approval_id: { ...word, required: true },
    call_id: { ...word, required: true },
  },
  "sessiond.v1.ApprovalResponse": { approval_id: { ...word, required: true } },
  "sessiond.v1.Error": { code: word, message: { maxBytes: 16 * KiB } },
  "sessiond.v1.Handoff": { from: word, to: { ...word, required: true }, reason },
  "sessiond.v1.RequestRecorded": { processing_time: { minMs: 0 } },
  "sessiond.v1.Custom": { type: { ...word, required: true } },
  "sessiond.v1.Usage": { model: word, cost: { min: 0 } },
  "sessiond.v1.TraceContext": {
    traceparent: { maxBytes: 255, pattern: printable },
    tracestate: { maxBytes: 512, pattern: printable },
  },
  "sessiond.v1.RawItem": { format: { maxBytes: limits.kindBytes, required: true } },

  "sessiond.v1.CreateSessionRequest": { ...request, parent_session_id: word },
  "sessiond.v1.GetSessionRequest": sessionName,
  "sessiond.v1.ExportSessionRequest": sessionName,
  "sessiond.v1.ImportStart": { namespace, session_id: word, header: { required: true } },
  "sessiond.v1.BundleHeader": { session: { required: true } },
  "sessiond.v1.BundleEvents": { events: { required: true, maxItems: limits.eventsPerAppend } },
  "sessiond.v1.BundleFooter": { sha256 },
  "sessiond.v1.ListSessionsRequest": {
    namespace,
    agent_id: word,
    user_id: word,
    labels,
    page_size: { min: 0 },
    filter,
    parent_session_id: word,
  },
  "sessiond.v1.UpdateSessionRequest": request,
  "sessiond.v1.EndSessionRequest": { ...sessionName, ...request },
  "sessiond.v1.CancelSessionRequest": { ...sessionName, ...request, reason },
  "sessiond.v1.ReopenSessionRequest": { ...sessionName, ...request, reason },
  "sessiond.v1.ForkSessionRequest": { ...sessionName, ...request, new_session_id: word },
  "sessiond.v1.RewindSessionRequest": { ...sessionName, ...request },
  "sessiond.v1.DeleteSessionRequest": { ...sessionName, ...request },
  "sessiond.v1.PatchStateRequest": { ...sessionName, ...request, etag: word },
  "sessiond.v1.GetStateRequest": sessionName,
  "sessiond.v1.CleanupSessionsRequest": {
    namespace,
    idle: { minMs: 0 },
    age: { minMs: 0 },
    min_error_rate: ratio,
    page_size: { min: 0 },
    filter,
  },
  "sessiond.v1.DeleteUserDataRequest": { namespace, user_id: { ...word, required: true } },
  "sessiond.v1.AppendEventsRequest": {
    ...sessionName,
    ...request,
    events: { required: true, maxItems: limits.eventsPerAppend },
  },
  "sessiond.v1.AppendStreamRequest": { append: { required: true } },
  "sessiond.v1.ListEventsRequest": { ...sessionName, page_size: { min: 0 } },
  "sessiond.v1.ListStepsRequest": { ...sessionName, page_size: { min: 0 } },
  "sessiond.v1.WatchEventsRequest": {
    namespace,
    session_id: word,

    filter,
    consumer: consumerName,
    reader: word,
  },
  "sessiond.v1.Consumer": {
    namespace,
    name: { ...consumerName, required: true },
    session_id: word,

    create_time: setByServer,
    commit_time: setByServer,
    filter,
    lag: setByServer,
    reader: setByServer,
    session_uid: setByServer,
  },
  "sessiond.v1.CreateConsumerRequest": { ...request, consumer: { required: true } },
  "sessiond.v1.GetConsumerRequest": consumer,
  "sessiond.v1.ListConsumersRequest": { namespace, page_size: { min: 0 } },
  "sessiond.v1.DeleteConsumerRequest": { ...consumer, ...request },
  "sessiond.v1.CommitCursorRequest": {
    ...consumer,
    cursor: { required: true },
    lease: word,
  },
  "sessiond.v1.RecordRequestRequest": {
    ...sessionName,
    ...request,
    processing_time: { minMs: 0 },
  },
  "sessiond.v1.GetSessionMetricsRequest": sessionName,
  "sessiond.v1.AggregateMetricsRequest": {
    namespace,
    period: { minMs: 1 },
    label_key: { maxBytes: limits.labelKeyBytes },
    agent_id: word,
    user_id: word,
    metrics: { maxItems: 64 },
    max_groups: { max: limits.metricGroups },
    max_sessions: { max: limits.metricSessions },
  },
  "sessiond.v1.LabelValue": {
    key: { maxBytes: limits.labelKeyBytes, required: true },
    value: { maxBytes: limits.labelValueBytes },
  },
  "sessiond.v1.GetContextWindowRequest": {
    ...sessionName,
    token_budget: { min: 1 },
    model: word,
    encoding: word,
    query: { maxBytes: 64 * KiB },
    authors: { maxItems: 64 },
    agent: word,
    known_prefix_hash: word,
  },
  "sessiond.v1.CompactSessionRequest": { ...sessionName, ...request, target_ratio: ratio },
  "sessiond.v1.RevertCompactionRequest": { ...sessionName, ...request },
  "sessiond.v1.AmendToolCallRequest": { ...sessionName, ...request, revision: { required: true } },
  "sessiond.v1.SubmitSummaryRequest": {
    ...sessionName,
    ...request,
    due_revision: { required: true },
    summary: { required: true, maxBytes: 256 * KiB },
  },
  "sessiond.v1.SetProtectionRequest": {
    ...sessionName,
    ...request,
    revisions: { required: true, maxItems: 1_000 },
    reason: { maxBytes: limits.kindBytes, pattern: printable },
  },
  "sessiond.v1.SetLogLevelRequest": { duration: { minMs: 1 } },
  "sessiond.v1.BackupRequest": { path: { required: true, maxBytes: 4 * KiB, pattern: printable } },
  "sessiond.v1.CountTokensRequest": {
    model: word,
    encoding: word,
    texts: { maxItems: 1_000 },
    events: { maxItems: limits.eventsPerAppend },
    tools: { maxItems: limits.tools },
  },
};
