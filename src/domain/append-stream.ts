import { create } from "@bufbuild/protobuf";
import {
  type AppendEventsResponse,
  type AppendStreamRequest,
  AppendStreamRequestSchema,
  type AppendStreamResponse,
  AppendStreamResponseSchema,
  type TraceContext,
} from "@sessiond/contract";
import { ShuttingDownError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { AppendContext, Events } from "./events.ts";
import { validate } from "./validation/validate.ts";

/**
 * Appends batches as they come in, and answers them in order.
 *
 * Many are under way at once: they are counted side by side, decided one after another, and their
 * commits overlap. The first that fails ends the stream; no later one is stored. At a shutdown what
 * was taken is answered, then the stream ends.
 *
 * Errors: those of `Events.append`; ShuttingDownError.
 */
export async function* appendStream(
  events: Events,
  requests: AsyncIterable<AppendStreamRequest>,
  { shutdown, trace }: { shutdown: AbortSignal; trace?: TraceContext | undefined },
): AsyncGenerator<AppendStreamResponse> {
  const underWay: Promise<AppendEventsResponse>[] = [];
  let turn: Promise<void> = Promise.resolve();

  const begin = (request: AppendStreamRequest) => {
    const decision = Promise.withResolvers<void>();
    // A turn later: a store that refuses the commit has said so by then.
    const decided = () => setImmediate(decision.resolve);
    const answer = appendOne(events, request, { order: { turn, decided }, trace });
    // A repeated request is answered without a decision; a failed one must stop those behind it.
    answer.then(() => decision.resolve(), decision.reject);
    decision.promise.catch(() => {});
    turn = decision.promise;
    underWay.push(answer);
  };

  const source = requests[Symbol.asyncIterator]();
  let stop = () => {};
  const read = () => {
    const request = Promise.withResolvers<IteratorResult<AppendStreamRequest>>();
    source.next().then(request.resolve, request.reject);
    // Not always awaited at once: a broken stream must not count as an unhandled rejection.
    request.promise.catch(() => {});
    stop = () => request.resolve({ done: true, value: undefined });
    if (shutdown.aborted) stop();
    return request.promise;
  };
  const onShutdown = () => stop();
  shutdown.addEventListener("abort", onShutdown);
  try {
    let incoming: ReturnType<typeof read> | undefined = read();
    for (;;) {
      const oldest = underWay[0];
      if (incoming === undefined && oldest === undefined) break;
      const mayRead = underWay.length < limits.appendStreamInFlight ? incoming : undefined;
      const next = await first(oldest, mayRead);
      if (next.from === "answer") {
        underWay.shift();
        yield create(AppendStreamResponseSchema, { append: next.value });
      } else if (next.value.done) {
        incoming = undefined;
      } else {
        begin(next.value.value);
        incoming = read();
      }
    }
    if (shutdown.aborted) throw new ShuttingDownError();
  } finally {
    shutdown.removeEventListener("abort", onShutdown);
    for (const answer of underWay) answer.catch(() => {});
    // Not awaited: a source that waits for the client returns only when the client is gone.
    source.return?.().catch(() => {});
  }
}

async function appendOne(
  events: Events,
  request: AppendStreamRequest,
  context: AppendContext,
): Promise<AppendEventsResponse> {
  validate(AppendStreamRequestSchema, request);
  if (request.append === undefined) throw new Error("validation requires append");
  return events.append(request.append, context);
}

type First<A, B> = { from: "answer"; value: A } | { from: "request"; value: B };

/** The first of the two to settle; an answer that is ready goes before a request. */
function first<A, B>(
  answer: Promise<A> | undefined,
  request: Promise<B> | undefined,
): Promise<First<A, B>> {
  const candidates: Promise<First<A, B>>[] = [];
  if (answer) candidates.push(answer.then((value) => ({ from: "answer", value })));
  if (request) candidates.push(request.then((value) => ({ from: "request", value })));
  return Promise.race(candidates);
}
