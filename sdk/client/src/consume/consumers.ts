import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Consumer as ConsumerMessage } from "@sessiond/contract";
import { type CallOptions, toConnectOptions, type WriteOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { ConsumerNotFoundError } from "../errors/server-errors.ts";
import { PageList } from "../page.ts";

/** A named reader whose place the server keeps. */
export interface Consumer {
  readonly name: string;
  /** Session it reads; undefined: all of the namespace. */
  readonly sessionId: string | undefined;
  /** Events it is shown, in CEL over `event`; empty: all. */
  readonly filter: string;
  /** Place up to which it has read. */
  readonly cursor: string;
  /** What lies behind its cursor: events of its session, or commits of its namespace. */
  readonly lag: number;
  /** Who reads under the name now; undefined: nobody. */
  readonly reader:
    | { readonly name: string; readonly openTime: Date; readonly activeTime: Date }
    | undefined;
  readonly createTime: Date;
  /** When its cursor last moved; undefined: never. */
  readonly commitTime: Date | undefined;
  /** The consumer in the form of the contract. */
  readonly message: ConsumerMessage;
}

export interface ConsumerQuery extends CallOptions {
  /** Consumers of a page, up to 1,000. Default 50. */
  readonly pageSize?: number | undefined;
  /** Begin at this page, from `nextPageToken`. */
  readonly pageToken?: string | undefined;
}

export interface DeleteConsumerOptions extends WriteOptions {
  /** A consumer that does not exist is no error. Default false. */
  readonly allowMissing?: boolean | undefined;
}

/** Looks at the consumers of a namespace. `sessiond.consume` makes and reads them. */
export class Consumers {
  readonly #context: ClientContext;

  constructor(context: ClientContext) {
    this.#context = context;
  }

  /**
   * Gets a consumer, with its lag and its reader.
   *
   * Errors: ConsumerNotFoundError.
   *
   * ```ts
   * const { lag, reader } = await sessiond.consumers.get("audit");
   * ```
   */
  async get(name: string, options: CallOptions = {}): Promise<Consumer> {
    const { namespace, clients } = this.#context;
    const call = clients.consumers.getConsumer({ namespace, name }, toConnectOptions(options));
    const { consumer } = await translated(call);
    if (consumer === undefined) throw missing(name);
    return toConsumer(consumer);
  }

  /**
   * Lists consumers by name: awaited a page, iterated all.
   *
   * ```ts
   * for await (const { name, lag } of sessiond.consumers.list()) console.log(name, lag);
   * ```
   */
  list(query: ConsumerQuery = {}): PageList<Consumer> {
    const { namespace, clients } = this.#context;
    const { pageSize = 0 } = query;
    return new PageList(async (pageToken = "") => {
      const request = { namespace, pageSize, pageToken };
      const call = clients.consumers.listConsumers(request, toConnectOptions(query));
      const { consumers, nextPageToken } = await translated(call);
      return { items: consumers.map(toConsumer), nextPageToken: nextPageToken || undefined };
    }, query.pageToken);
  }

  /**
   * Deletes a consumer; who reads under its name fails with ConsumerNotFoundError. Events stay.
   *
   * Errors: ConsumerNotFoundError.
   *
   * ```ts
   * await sessiond.consumers.delete("audit");
   * ```
   */
  async delete(name: string, options: DeleteConsumerOptions = {}): Promise<void> {
    const { namespace, clients, newId } = this.#context;
    const { requestId = newId(), allowMissing = false } = options;
    const request = { namespace, name, allowMissing, requestId };
    const call = clients.consumers.deleteConsumer(request, toConnectOptions(options));
    await translated(call, { requestId });
  }
}

export function toConsumer(message: ConsumerMessage): Consumer {
  const { name, sessionId, filter, cursor, lag, reader, createTime, commitTime } = message;
  return {
    name,
    sessionId: sessionId || undefined,
    filter,
    cursor,
    lag,
    reader: reader && {
      name: reader.name,
      openTime: date(reader.openTime),
      activeTime: date(reader.activeTime),
    },
    createTime: date(createTime),
    commitTime: commitTime && timestampDate(commitTime),
    message,
  };
}

function date(time: ConsumerMessage["createTime"]): Date {
  return time === undefined ? new Date(0) : timestampDate(time);
}

function missing(name: string): ConsumerNotFoundError {
  return new ConsumerNotFoundError({
    message: `the answer has no consumer "${name}"`,
    code: "NOT_FOUND",
    reason: "CONSUMER_NOT_FOUND",
  });
}
