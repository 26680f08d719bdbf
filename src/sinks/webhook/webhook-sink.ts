import { toFailure } from "../../completions/failure.ts";
import type { KeySource } from "../../completions/key.ts";
import { version } from "../../version.ts";
import { isRefusal } from "../http-status.ts";
import { lineOf } from "../lines.ts";
import { retryAfterMs } from "../retry-after.ts";
import {
  DeliveryError,
  RefusedBatchError,
  type Sink,
  type SinkBatch,
  type SinkMessage,
} from "../sink.ts";
import { webhookHeaders } from "./signature.ts";

export interface WebhookSinkOptions {
  readonly url: string;
  /** What requests are signed with; undefined: they are not. */
  readonly key: KeySource;
  /** Time for one request, until the status is there. */
  readonly timeoutMs: number;
  readonly now: () => number;
}

/**
 * Posts batches as JSON: `{"type":"sessiond.events","data":[…]}`, with the lines that other sinks write as
 * elements. Success is any 2xx; the body of an answer is not read.
 *
 * What is too large for the receiver (413) is sent again in halves. Redirects are not followed: they would
 * carry events elsewhere.
 */
export class WebhookSink implements Sink {
  readonly #options: WebhookSinkOptions;

  constructor(options: WebhookSinkOptions) {
    this.#options = options;
  }

  /**
   * Errors: RefusedBatchError for a status of 4xx that is about the batch, with the messages that were
   * refused; DeliveryError for everything else.
   */
  async deliver({ namespace, messages }: SinkBatch, signal: AbortSignal): Promise<void> {
    const refused: SinkMessage[] = [];
    let reason = "";
    for await (const one of this.#post({ namespace, messages }, signal)) {
      refused.push(...one.messages);
      reason = one.reason;
    }
    if (refused.length > 0) throw new RefusedBatchError(reason, { messages: refused });
  }

  async close(): Promise<void> {}

  /** Gives what was refused. */
  async *#post(
    { namespace, messages }: SinkBatch,
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly messages: readonly SinkMessage[]; readonly reason: string }> {
    const status = await this.#send(bodyOf({ namespace, messages }), signal);
    if (status === undefined) return;
    if (status === 413 && messages.length > 1) {
      const middle = Math.ceil(messages.length / 2);
      yield* this.#post({ namespace, messages: messages.slice(0, middle) }, signal);
      yield* this.#post({ namespace, messages: messages.slice(middle) }, signal);
      return;
    }
    yield { messages, reason: `the receiver answered with HTTP status ${status}` };
  }

  /** The status when it is a refusal; undefined when the receiver has the body. Errors: DeliveryError. */
  async #send(body: string, signal: AbortSignal): Promise<number | undefined> {
    const { url, key, timeoutMs, now } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const headers = webhookHeaders({ body, key: await key(), nowMs: now() });
      const response = await fetch(url, {
        method: "POST",
        redirect: "manual",
        headers: {
          "content-type": "application/json",
          "user-agent": `sessiond/${version}`,
          ...headers,
        },
        body,
        signal: AbortSignal.any([signal, timeout]),
      });
      // Not read, however long it is.
      await response.body?.cancel();
      return outcomeOf(response, now());
    } catch (error) {
      if (error instanceof DeliveryError || signal.aborted) throw error;
      if (timeout.aborted) {
        throw new DeliveryError(`the receiver did not answer within ${timeoutMs / 1_000} s`);
      }
      throw new DeliveryError(`the receiver cannot be reached: ${toFailure(error).message}`);
    }
  }
}

function bodyOf({ namespace, messages }: SinkBatch): string {
  const lines = messages.map((message) => lineOf(namespace, message));
  return `{"type":"sessiond.events","data":[${lines.join(",")}]}`;
}

function outcomeOf({ status, ok, headers }: Response, nowMs: number): number | undefined {
  if (ok) return undefined;
  if (isRefusal(status)) return status;
  if (status >= 300 && status < 400) {
    throw new DeliveryError(
      `the receiver answered with a redirect (${status}), which is not followed`,
    );
  }
  throw new DeliveryError(`the receiver answered with HTTP status ${status}`, {
    retryAfterMs: retryAfterMs(headers.get("retry-after"), nowMs),
  });
}
