import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { EventInput, Session } from "@sessiond/client";
import type { Host } from "../host.ts";
import { safe } from "../text/safe.ts";
import { answerOutput } from "./answer-output.ts";
import type { Answerer } from "./answerer.ts";
import type { ChatSession } from "./chat-session.ts";
import { type Collected, type Cut, collect } from "./collect.ts";
import type { Status } from "./status.ts";

/** What an exchange needs. Without `answerer` messages are recorded only. */
export interface ExchangeParts {
  readonly host: Host;
  readonly chat: ChatSession;
  readonly status: Status;
  readonly answerer: Answerer | undefined;
}

/**
 * Stores a user's message, has it answered, and stores the answer with the request that it was, in
 * one batch. What had come of an answer that failed or was interrupted is stored as well.
 *
 * Resolves to whether it was answered, where something answers. Errors: those of the client.
 */
export async function exchange(
  text: string,
  signal: AbortSignal,
  { host, chat, status, answerer }: ExchangeParts,
): Promise<boolean> {
  const said = await chat.say(text, signal);
  const { session } = said;
  if (answerer === undefined) {
    status.saved(await session.refresh({ signal }), said.isDurable);
    return true;
  }
  const answered = await collect(answerer, { session, signal, output: answerOutput(host) });
  // Not given up with the answer: it is what there is to keep of it.
  const { isDurable } = await chat.store(session, eventsOf(session, answered));
  const { cut, failure } = answered;
  if (failure !== undefined) status.failed(safe(failure.message));
  else if (cut !== undefined) status.note(cutText(cut, answered.text));
  status.saved(await session.refresh(), isDurable);
  return failure === undefined;
}

function cutText(cut: Cut, text: string): string {
  switch (cut) {
    case "interrupted":
      return text === ""
        ? "stopped before anything came"
        : "stopped; what had come of the answer is stored";
    case "length":
      return "the answer was cut off where the model may write no more";
    case "filtered":
      return "the answer was cut off by the endpoint's content filter";
    case "failed":
      return "the answer broke off";
  }
}

function eventsOf({ message }: Session, answered: Collected): EventInput[] {
  const author = message.agentId;
  const { text, usage, cut, failure, tookMs } = answered;
  const processingTime = durationFromMs(tookMs);
  const error = failure && {
    code: failure.code,
    message: failure.message.slice(0, errorLength).toWellFormed(),
    retryable: failure.retryable,
  };
  const events: EventInput[] = [];
  if (text !== "") {
    events.push({
      role: "assistant",
      text,
      author,
      durationMs: tookMs,
      ...(usage && {
        usage: { ...usage, model: usage.model.slice(0, modelLength).toWellFormed() },
      }),
      ...(cut && { metadata: { cut } }),
    });
  }
  if (error !== undefined) events.push({ author, payload: { case: "error", value: error } });
  events.push({
    author,
    payload: { case: "requestRecorded", value: { processingTime, ...(error && { error }) } },
  });
  return events;
}

/** UTF-16 units kept of an error and of a model's name; the contract takes 16 KiB and 200 bytes. */
const errorLength = 4_000;
const modelLength = 66;
