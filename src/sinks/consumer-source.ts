import type { WatchEventsResponse } from "@sessiond/contract";
import { type CursorCodec, cursorCodec, scopeOf } from "../cursor.ts";
import { serverPrefix } from "../domain/stream/consumer-names.ts";
import type { ServerConsumers } from "../domain/stream/server-consumers.ts";
import type { Store } from "../store/store.ts";
import type { SinkMessage } from "./sink.ts";
import type { Source, SourcePart, SourceReader } from "./source.ts";

/** Reads for sinks as consumers of the server, one for each namespace: `sink.<name>`. */
export class ConsumerSource implements Source {
  readonly #store: Pick<Store, "capabilities" | "namespaceOffset" | "onCommit">;
  readonly #consumers: ServerConsumers;

  constructor(args: {
    readonly store: Pick<Store, "capabilities" | "namespaceOffset" | "onCommit">;
    readonly consumers: ServerConsumers;
  }) {
    this.#store = args.store;
    this.#consumers = args.consumers;
  }

  behind(sink: string, signal: AbortSignal): AsyncIterable<string> {
    return this.#consumers.namespacesBehind(consumerOf(sink), signal);
  }

  onGrowth(listener: (namespace: string) => void): () => void {
    return this.#store.onCommit(({ change, offset }) => {
      if (offset > 0) listener(change.key.namespace);
    });
  }

  async open(args: { namespace: string; sink: string; filter: string }): Promise<SourceReader> {
    const { namespace, sink, filter } = args;
    const consumer = { namespace, name: consumerOf(sink) };
    const closed = new AbortController();
    let missed = 0;
    const onMissed = (events: number) => {
      missed += events;
    };
    const messages = this.#consumers.read(
      { ...consumer, filter, untilCurrent: true, onMissed },
      closed.signal,
    );
    try {
      const created = await messages.next();
      const cursor = created.done ? "" : created.value.cursor;
      const scope = scopeOf(this.#store.capabilities.storeId, namespace);
      return new ConsumerReader({
        messages,
        closed,
        cursor,
        codec: cursorCodec("namespace", scope),
        missed: () => missed,
        newest: () => this.#store.namespaceOffset(namespace),
        commit: (at) => this.#consumers.commit({ ...consumer, cursor: at }),
      });
    } catch (error) {
      closed.abort();
      throw error;
    }
  }
}

class ConsumerReader implements SourceReader {
  readonly #messages: AsyncGenerator<WatchEventsResponse>;
  readonly #closed: AbortController;
  readonly #codec: CursorCodec;
  readonly #missed: () => number;
  readonly #newest: () => number;
  readonly #commit: (cursor: string) => Promise<void>;
  #cursor: string;

  constructor(args: {
    messages: AsyncGenerator<WatchEventsResponse>;
    closed: AbortController;
    cursor: string;
    codec: CursorCodec;
    missed: () => number;
    newest: () => number;
    commit: (cursor: string) => Promise<void>;
  }) {
    this.#messages = args.messages;
    this.#closed = args.closed;
    this.#cursor = args.cursor;
    this.#codec = args.codec;
    this.#missed = args.missed;
    this.#newest = args.newest;
    this.#commit = args.commit;
  }

  get lag(): number {
    return Math.max(0, this.#newest() - this.#codec.decode(this.#cursor).place);
  }

  get missed(): number {
    return this.#missed();
  }

  async next(): Promise<SourcePart | undefined> {
    const { done, value } = await this.#messages.next();
    if (done) return undefined;
    this.#cursor = value.cursor;
    return { cursor: value.cursor, messages: toSinkMessages(value) };
  }

  commit(cursor: string): Promise<void> {
    return this.#commit(cursor);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#messages.return(undefined);
  }
}

/** The consumer of a sink, in each of its namespaces. */
export function consumerOf(sink: string): string {
  return `${serverPrefix}${sink}`;
}

function toSinkMessages({ message }: WatchEventsResponse): SinkMessage[] {
  switch (message.case) {
    case "events": {
      const { sessionId, sessionUid, events } = message.value;
      return events.map((event) => ({ kind: "event", sessionId, sessionUid, event }));
    }
    case "sessionDeleted":
      return [{ kind: "session_deleted", ...rangeOf(message.value) }];
    case "eventsDamaged":
      return [{ kind: "events_damaged", ...rangeOf(message.value) }];
    case "gap":
      return [{ kind: "gap", description: message.value.description }];
    case "created":
    case "progress":
    case undefined:
      return [];
  }
}

function rangeOf(args: {
  sessionId: string;
  sessionUid: string;
  firstRevision: number;
  lastRevision: number;
}) {
  const { sessionId, sessionUid, firstRevision, lastRevision } = args;
  return { sessionId, sessionUid, firstRevision, lastRevision };
}
