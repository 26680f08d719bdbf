import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SessionSchema } from "@sessiond/contract";
import { SessionHeadSchema } from "@sessiond/contract/store";
import { limits } from "../../limits.ts";
import type { StoredSession } from "../../store/store.ts";
import { metadataView } from "../cel/metadata-view.ts";
import { type FieldValue, lookAt, type Subject } from "../cel/subject.ts";
import { ageMs, idleMs } from "../lifecycle/elapsed.ts";
import { stateWords } from "../lifecycle/state-words.ts";

/** A session at a time, as a filter looks at it. */
export interface SessionAt {
  readonly stored: StoredSession;
  readonly nowMs: number;
}

const count = (value: number | undefined) => BigInt(value ?? 0);
const whole = (ms: number) => BigInt(Math.floor(ms));

/**
 * What filters see of a session, as `session`, beside its metadata. Every field is always there;
 * `ListSessionsRequest.filter` documents them.
 */
const fields = {
  session_id: ({ stored }) => stored.session.sessionId,
  state: ({ stored }) => stateWords[stored.session.state],
  preset: ({ stored }) => stored.session.preset,
  agent_id: ({ stored }) => stored.session.agentId,
  user_id: ({ stored }) => stored.session.userId,
  title: ({ stored }) => stored.session.title,
  goal: ({ stored }) => stored.session.goal.slice(0, limits.ruleTextLength),
  model: ({ stored }) => stored.session.model,
  fingerprint: ({ stored }) => stored.session.fingerprint,
  error_code: ({ stored }) => stored.session.end?.errorCode ?? "",
  labels: ({ stored }) => new Map(Object.entries(stored.session.labels)),
  create_time_ms: ({ stored: { session } }) =>
    whole(session.createTime ? timestampMs(session.createTime) : 0),
  age_ms: ({ stored, nowMs }) => whole(ageMs(stored, nowMs)),
  idle_ms: ({ stored, nowMs }) => whole(idleMs(stored, nowMs)),
  head_revision: ({ stored }) => count(stored.head.revision),
  events: ({ stored }) => count(stored.head.metrics?.events),
  messages: ({ stored }) => count(stored.head.metrics?.messages),
  turns: ({ stored }) => count(stored.head.metrics?.turns),
  steps: ({ stored }) => count(stored.head.metrics?.steps),
  tool_calls: ({ stored }) => count(stored.head.metrics?.toolCalls),
  errors: ({ stored }) => count(stored.head.metrics?.errors),
  protected_events: ({ stored }) => count(stored.head.metrics?.protectedEvents),
  stored_bytes: ({ stored }) => count(stored.head.metrics?.storedBytes),
  tokens: ({ stored }) => count(stored.head.metrics?.tokens?.total),
  input_tokens: ({ stored }) => count(stored.head.metrics?.tokens?.input),
  output_tokens: ({ stored }) => count(stored.head.metrics?.tokens?.output),
  requests: ({ stored }) => count(stored.head.metrics?.requests?.count),
  request_errors: ({ stored }) => count(stored.head.metrics?.requests?.errors),
  compactions: ({ stored }) => count(stored.head.metrics?.compactions?.count),
  error_rate: ({ stored }) => stored.head.metrics?.requests?.errorRate ?? 0,
  cost: ({ stored }) => stored.head.metrics?.tokens?.reportedCost ?? 0,
} satisfies Record<string, (at: SessionAt) => FieldValue>;

/** What filters are about. */
export const sessionSubject: Subject<SessionAt> = {
  variable: "session",
  article: "a",
  word: "filter",
  fields: [...Object.keys(fields), "metadata"],
  sample: {
    stored: { session: create(SessionSchema), head: create(SessionHeadSchema) },
    nowMs: 0,
  },
  view: (at) => ({
    field: lookAt(fields, at),
    metadata: metadataView(at.stored.session.metadata),
  }),
};
