import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Hint } from "@sessiond/contract";
import { toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { toDuration } from "../duration.ts";
import { type StateWord, states, wordFor } from "../words.ts";

/** What to record of a request. Each field may be used alone. */
export interface RequestRecord extends WriteOptions {
  /** Count a request. Default true; false adds only the time or the error. */
  readonly count?: boolean | undefined;
  /** Time spent on it. Default: unknown. */
  readonly processingTimeMs?: number | undefined;
  /** It failed with this; `true` when there is nothing more to say. Default: it worked. */
  readonly error?: true | { readonly code?: string; readonly message?: string } | undefined;
}

/** Counters of a session's requests. */
export interface RequestCounters {
  readonly count: number;
  readonly errors: number;
  /** `errors` / `count`, at most 1; 0 without a request. */
  readonly errorRate: number;
  readonly processingTimeMs: number;
  /** Undefined without a request or a time. */
  readonly averageProcessingTimeMs: number | undefined;
}

/** What a recorded request led to. */
export interface RecordedRequest {
  /** Revision of the `requestRecorded` event. */
  readonly revision: number;
  /** Counters of the session, with this request. */
  readonly requests: RequestCounters;
  /** What the session's health policy and the server warn of: "high_error_rate", "many_errors" … */
  readonly hints: readonly Hint[];
  /** "failed" if the health policy ended the session with this request. */
  readonly state: StateWord | undefined;
}

/** Records a request. `Session.recordRequest` documents it. */
export async function countRequest(
  context: ClientContext,
  sessionId: string,
  record: RequestRecord,
): Promise<RecordedRequest> {
  const { requestId = context.newId(), count, processingTimeMs, error } = record;
  const request = {
    namespace: context.namespace,
    sessionId,
    requestId,
    ...(count === undefined ? {} : { count }),
    ...(processingTimeMs === undefined
      ? {}
      : { processingTime: toDuration("processingTimeMs", processingTimeMs) }),
    ...(error === undefined ? {} : { error: error === true ? {} : error }),
  };
  const call = context.clients.metrics.recordRequest(request, toConnectOptions(record));
  const { revision, requests, hints, state } = await translated(call, { sessionId, requestId });
  const { processingTime, averageProcessingTime } = requests ?? {};
  return {
    revision,
    hints,
    state: wordFor(states, state),
    requests: {
      count: requests?.count ?? 0,
      errors: requests?.errors ?? 0,
      errorRate: requests?.errorRate ?? 0,
      processingTimeMs: processingTime === undefined ? 0 : durationMs(processingTime),
      averageProcessingTimeMs: averageProcessingTime && durationMs(averageProcessingTime),
    },
  };
}
