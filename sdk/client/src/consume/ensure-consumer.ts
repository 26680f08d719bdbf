import { toConnectOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { UsageError } from "../errors/client-errors.ts";
import { ConsumerExistsError, ConsumerNotFoundError } from "../errors/server-errors.ts";
import { watchStarts } from "../words.ts";
import { type Consumer, Consumers } from "./consumers.ts";
import type { ConsumeOptions } from "./options.ts";

/**
 * Makes sure that a consumer is there, and reads what is wanted.
 *
 * Errors: UsageError when it is there and reads something else; those of the calls.
 */
export async function ensureConsumer(
  context: ClientContext,
  name: string,
  options: ConsumeOptions,
): Promise<void> {
  const consumers = new Consumers(context);
  const { signal } = options;
  for (;;) {
    try {
      return check(await consumers.get(name, { signal }), options);
    } catch (error) {
      if (!(error instanceof ConsumerNotFoundError)) throw error;
    }
    try {
      return await create(context, name, options);
    } catch (error) {
      // Another was faster.
      if (!(error instanceof ConsumerExistsError)) throw error;
    }
  }
}

async function create(context: ClientContext, name: string, options: ConsumeOptions) {
  const { namespace, clients, newId } = context;
  const { sessionId = "", filter = "", from = "beginning" } = options;
  const place = typeof from === "string" ? { start: watchStarts[from] } : {};
  const cursor = typeof from === "string" ? "" : from.cursor;
  const consumer = { namespace, name, sessionId, filter, cursor };
  const request = { consumer, ...place, requestId: newId() };
  const call = clients.consumers.createConsumer(request, toConnectOptions(options));
  await translated(call, sessionId === "" ? {} : { sessionId });
}

function check(consumer: Consumer, { sessionId, filter }: ConsumeOptions): void {
  const { name } = consumer;
  if (filter !== undefined && filter !== consumer.filter) {
    throw new UsageError(
      `consumer "${name}" is there with the filter ${JSON.stringify(consumer.filter)}, which stays as it is; consume with that one, under another name, or delete it to begin anew`,
    );
  }
  if (sessionId !== undefined && sessionId !== consumer.sessionId) {
    const reads = consumer.sessionId === undefined ? "the namespace" : `"${consumer.sessionId}"`;
    throw new UsageError(
      `consumer "${name}" is there and reads ${reads}; consume under another name, or delete it to begin anew`,
    );
  }
}
