import type { Sink, SinkBatch, SinkMessage } from "../../../src/sinks/sink.ts";

/** What a receiver was given: a message, and the namespace it is of. */
export type Received = SinkMessage & { readonly namespace: string };

/** A sink whose receiver is the test. */
export class CollectingSink implements Sink {
  /** Batches that were taken. */
  readonly batches: SinkBatch[] = [];
  /** Deliveries that were tried. */
  tries = 0;
  isClosed = false;
  /** What becomes of the next deliveries. Default: they are taken. */
  answer: (batch: SinkBatch, signal: AbortSignal) => Promise<void> = async () => {};
  #waiting = new Set<() => void>();

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    this.tries++;
    try {
      await this.answer(batch, signal);
      this.batches.push(batch);
    } finally {
      for (const look of this.#waiting) look();
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  get received(): Received[] {
    return this.batches.flatMap(({ namespace, messages }) =>
      messages.map((message) => ({ namespace, ...message })),
    );
  }

  /** Revisions of a session, in the order they came. */
  revisions(sessionId: string, namespace = "default"): number[] {
    return this.received.flatMap((message) =>
      message.kind === "event" && message.sessionId === sessionId && message.namespace === namespace
        ? [message.event.revision]
        : [],
    );
  }

  /** Resolves after a delivery behind which it is so. */
  until(isSo: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (!isSo()) return;
      this.#waiting.delete(look);
      resolve();
    };
    this.#waiting.add(look);
    look();
    return promise;
  }
}
