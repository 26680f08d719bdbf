import type { EventBatch } from "@sessiond/contract";
import { Encoder, rejectedOf } from "./encode.ts";
import { logOfEvent, logOfNotice, type Notice } from "./log-records.ts";
import type { LogRecord, SpanRecord } from "./records.ts";
import { SendError, type Sender } from "./sender.ts";
import type { OtlpSettings, Signal } from "./settings.ts";
import type { Traces } from "./traces.ts";

/** What happened in one namespace: events of one session that follow each other, or a notice. */
export type Happening = { readonly events: EventBatch } | { readonly notice: Notice };

export interface Batch {
  readonly namespace: string;
  readonly happenings: readonly Happening[];
}

/** The part of an `otlp` sink in its thread: makes spans and log records of batches, and sends them. */
export class ThreadSink {
  readonly #settings: OtlpSettings;
  readonly #traces: Traces;
  readonly #sender: Pick<Sender, "send">;
  readonly #encoder: Encoder;
  readonly #onRejected: (signal: Signal, rejected: number) => void;
  readonly #nowMs: () => number;
  /** A batch whose log records were taken, or refused, and whose spans are still to be sent. */
  #half: { readonly key: string; readonly refusal: SendError | undefined } | undefined;

  constructor(args: {
    settings: OtlpSettings;
    traces: Traces;
    sender: Pick<Sender, "send">;
    /** Hears of records that a receiver took the rest without. */
    onRejected: (signal: Signal, rejected: number) => void;
    nowMs: () => number;
  }) {
    this.#settings = args.settings;
    this.#traces = args.traces;
    this.#sender = args.sender;
    this.#encoder = new Encoder(args.settings);
    this.#onRejected = args.onRejected;
    this.#nowMs = args.nowMs;
  }

  /**
   * Resolves when the receiver has it all. A batch that failed is taken as a whole again, but for log
   * records that the receiver has.
   *
   * Errors: SendError; that of the signal.
   */
  async deliver(batch: Batch, abort: AbortSignal): Promise<void> {
    const taken = this.#traces.begin();
    const nowMs = this.#nowMs();
    const spans: SpanRecord[] = [];
    const logs: LogRecord[] = [];
    const { namespace } = batch;
    for (const happening of batch.happenings) {
      if ("notice" in happening) {
        const { notice } = happening;
        logs.push(logOfNotice(namespace, notice, nowMs));
        if (notice.kind === "session_deleted") {
          spans.push(...taken.takeDeletion(notice.sessionUid, nowMs));
        }
        continue;
      }
      const { sessionId, sessionUid: uid, events } = happening.events;
      for (const event of events) {
        const { state, spans: done, span } = await taken.take({ namespace, sessionId, uid }, event);
        spans.push(...done);
        logs.push(logOfEvent(state.subject, event, span));
      }
    }
    abort.throwIfAborted();
    const key = keyOf(batch);
    if (this.#half?.key !== key) {
      const encode = (some: readonly LogRecord[]) => this.#encoder.logs(some, nowMs);
      this.#half = { key, refusal: await refusalOf(this.#send("logs", logs, encode, abort)) };
    }
    const encode = (some: readonly SpanRecord[]) => this.#encoder.spans(some);
    const refusal = await refusalOf(this.#send("traces", spans, encode, abort));
    const first = this.#half.refusal ?? refusal;
    this.#half = undefined;
    // Also what was refused was taken: the spans that follow go on from it.
    taken.keep();
    if (first !== undefined) throw first;
  }

  /** Sends records in one request, or in halves when the receiver finds that too much. */
  async #send<T>(
    signal: Signal,
    records: readonly T[],
    encode: (records: readonly T[]) => Uint8Array,
    abort: AbortSignal,
  ): Promise<void> {
    if (records.length === 0 || this.#settings.urls[signal] === undefined) return;
    try {
      const answer = await this.#sender.send(signal, encode(records), abort);
      const rejected = readRejected(signal, answer);
      if (rejected > 0) this.#onRejected(signal, rejected);
    } catch (error) {
      if (!(error instanceof SendError && error.isTooLarge) || records.length === 1) throw error;
      const half = Math.ceil(records.length / 2);
      await this.#send(signal, records.slice(0, half), encode, abort);
      await this.#send(signal, records.slice(half), encode, abort);
    }
  }
}

/** The refusal of what is sent: the other signal has nothing to do with it. Errors: those of `sending`. */
async function refusalOf(sending: Promise<void>): Promise<SendError | undefined> {
  try {
    await sending;
    return undefined;
  } catch (error) {
    if (error instanceof SendError && error.isRefused) return error;
    throw error;
  }
}

/** An answer in another form than Protobuf says nothing that matters. */
function readRejected(signal: Signal, answer: Uint8Array): number {
  try {
    return rejectedOf(signal, answer);
  } catch {
    return 0;
  }
}

/** Tells batches apart: the same messages of a log make the same key. */
function keyOf({ namespace, happenings }: Batch): string {
  const places = happenings.map((happening) => {
    if ("notice" in happening) return JSON.stringify(happening.notice);
    const { sessionUid, events } = happening.events;
    return `${sessionUid} ${events[0]?.revision} ${events.length}`;
  });
  return [namespace, ...places].join("\n");
}
