import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Step as StepMessage } from "@sessiond/contract";
import { type CallOptions, toConnectOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { PageList } from "../page.ts";
import { wordFor } from "../words.ts";
import { type StepStatusWord, type StepTypeWord, stepStatuses, stepTypes } from "./words.ts";

/** One recorded unit of work. */
export interface Step {
  /** 1, 2, 3 … */
  readonly number: number;
  /** Undefined for a type newer than this client. */
  readonly type: StepTypeWord | undefined;
  /** Name of the tool of a call or a result; else empty, or what `stepStarted` said. */
  readonly name: string;
  /** What went in, as text, structures as JSON: the arguments of a call and of its result. */
  readonly input: string;
  /** What came out, as text, structures as JSON; empty for a call, whose output is its result's. */
  readonly output: string;
  /** Undefined for a tool call. */
  readonly status: StepStatusWord | undefined;
  /** Undefined: unknown. */
  readonly durationMs: number | undefined;
  /** Who did it. */
  readonly author: string;
  readonly createTime: Date;
  /** Revisions of the events that tell of it, rising. */
  readonly revisions: readonly number[];
}

/** Which steps to list, in what pages. */
export interface StepQuery extends CallOptions {
  /** Steps that a rewind hides, too. Default false. */
  readonly includeHidden?: boolean | undefined;
  /** Steps of a page, up to 1,000. Default 50. */
  readonly pageSize?: number | undefined;
  /** Begin at this page, from `nextPageToken` of the list before. */
  readonly pageToken?: string | undefined;
}

/** Lists the steps of a session. `Session.steps` documents it. */
export function listSteps(
  context: ClientContext,
  sessionId: string,
  query: StepQuery,
): PageList<Step> {
  const { namespace, clients } = context;
  const { includeHidden = false, pageSize = 0 } = query;
  return new PageList(async (pageToken = "") => {
    const request = { namespace, sessionId, includeHidden, pageSize, pageToken };
    const call = clients.events.listSteps(request, toConnectOptions(query));
    const { steps, nextPageToken } = await translated(call, { sessionId });
    return { items: steps.map(toStep), nextPageToken: nextPageToken || undefined };
  }, query.pageToken);
}

function toStep({ number, name, input, output, author, revisions, ...message }: StepMessage): Step {
  const { duration, createTime } = message;
  return {
    number,
    type: wordFor(stepTypes, message.type),
    name,
    input,
    output,
    status: wordFor(stepStatuses, message.status),
    durationMs: duration && durationMs(duration),
    author,
    createTime: createTime === undefined ? new Date(0) : timestampDate(createTime),
    revisions,
  };
}
