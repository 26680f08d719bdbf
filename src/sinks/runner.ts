import { setTimeout as sleep } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { limits } from "../limits.ts";
import { sizeOf } from "../store/encoded.ts";
import { pauseMs } from "./backoff.ts";
import { Behind } from "./behind.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Pace } from "./pace.ts";
import type { Redaction } from "./redaction/redaction.ts";
import {
  DeliveryError,
  RefusedBatchError,
  type Sink,
  type SinkBatch,
  SinkEndedError,
  type SinkMessage,
} from "./sink.ts";
import type { Source, SourceReader } from "./source.ts";

/** What of a logger is used. */
export interface SinkLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** How a sink is doing, since the start. */
export interface SinkStats {
  /** Events that the receiver has. */
  readonly events: number;
  /** Deliveries that failed and are tried again. */
  readonly failures: number;
  /** Events that the receiver will never take. */
  readonly refused: number;
  /** Events that it was not given, see `SourceReader.missed`. */
  readonly missed: number;
  /** Commits that were not delivered. */
  readonly lag: number;
  /** How old the oldest event is that is being delivered; 0 when there is none. */
  readonly ageSeconds: number;
  /** The last delivery failed, or the sink has ended. */
  readonly isFailing: boolean;
}

export interface SinkRunnerOptions {
  readonly name: string;
  readonly sink: Sink;
  readonly source: Source;
  readonly redaction: Redaction;
  /** Events it gets, in CEL over `event`; empty: all. */
  readonly filter: string;
  /** It is told of deletions and damage, which name sessions whatever the filter shows. Default true. */
  readonly deletions?: boolean;
  /** Namespaces it is for. Absent: all. */
  readonly namespaces?: readonly string[] | undefined;
  /** Where batches go that are refused. */
  readonly deadLetters: DeadLetters;
  readonly log: SinkLog;
  readonly pace: Pace;
  readonly now: () => number;
  /** From 0 to below 1; spreads the pauses. Default `Math.random`. */
  readonly random?: () => number;
  /** Pause before a batch is delivered again the first time. Default from `limits.ts`. */
  readonly retryMs?: number;
  /** How long a stop may take to deliver what is there. Default from `limits.ts`. */
  readonly drainMs?: number;
  /** How long it lets events come together. Default from `limits.ts`. */
  readonly lingerMs?: number;
  /** Bounds of a batch. Default from `limits.ts`. */
  readonly batch?: { readonly events: number; readonly bytes: number };
}

/** A part of a log that goes out together, and the cursor behind it. */
interface Collected extends SinkBatch {
  readonly cursor: string;
  /** As of the reader, there. */
  readonly missed: number;
  readonly oldestMs: number | undefined;
}

/**
 * Gives one sink all events of its namespaces, at least once and each session in order: one batch after the
 * other, and the place behind a batch is kept when it was delivered.
 *
 * Namespaces that have grown wait in a line; each has its turn, and an idle one costs nothing. While the
 * sink fails nothing more is read, so an outage costs one batch of memory, however long it is.
 */
export class SinkRunner {
  readonly name: string;
  readonly #options: SinkRunnerOptions;
  readonly #sink: Sink;
  readonly #behind: Behind;
  readonly #stopped = new AbortController();
  readonly #stopListening: () => void;
  #running: Promise<void> | undefined;
  #isDraining = false;
  #hasEnded = false;
  #events = 0;
  #failures = 0;
  #failuresInARow = 0;
  #refused = 0;
  #missed = 0;
  #isRefusing = false;
  #oldestMs: number | undefined;
  /** Time of this turn that it read and encoded. */
  #workedMs = 0;
  #onFailing = () => {};

  constructor(options: SinkRunnerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#sink = options.sink;
    this.#behind = new Behind({ lingerMs: options.lingerMs ?? limits.sinkLingerMs });
    this.#stopListening = options.source.onGrowth((namespace) => {
      if (this.#wants(namespace)) this.#behind.grew(namespace);
    });
  }

  get stats(): SinkStats {
    const oldestMs = this.#oldestMs ?? this.#options.now();
    return {
      events: this.#events,
      failures: this.#failures,
      refused: this.#refused,
      missed: this.#missed,
      lag: this.#behind.commits,
      ageSeconds: Math.max(0, this.#options.now() - oldestMs) / 1_000,
      isFailing: this.#failuresInARow > 0 || this.#hasEnded,
    };
  }

  start(): void {
    this.#running ??= Promise.all([this.#find(), this.#run()]).then(() => {});
  }

  /** As `Sink.reopen`. */
  async reopen(): Promise<void> {
    await this.#sink.reopen?.();
  }

  /**
   * Delivers what is there, unless the sink fails or takes too long, and closes it. What was not delivered
   * comes after the next start.
   */
  async stop(): Promise<void> {
    this.#isDraining = true;
    const over = new AbortController();
    const { promise: failing, resolve } = Promise.withResolvers<void>();
    this.#onFailing = resolve;
    if (this.#failuresInARow > 0) resolve();
    const { drainMs = limits.sinkDrainMs } = this.#options;
    const soon = sleep(drainMs, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([this.#behind.hurry(), failing, soon, this.#running]);
    over.abort();
    this.#stopListening();
    this.#stopped.abort();
    this.#behind.close();
    const late = sleep(limits.sinkCloseMs, undefined, { ref: false });
    await Promise.race([this.#running, late]);
    await Promise.race([this.#close(), late]);
  }

  async #close(): Promise<void> {
    try {
      await this.#sink.close();
    } catch (err) {
      this.#options.log.warn({ err, sink: this.name }, "the sink could not be closed");
    }
    await this.#options.redaction.close();
  }

  #wants(namespace: string): boolean {
    const { namespaces } = this.#options;
    return !this.#hasEnded && (namespaces === undefined || namespaces.includes(namespace));
  }

  /** Finds what was not delivered before the start. */
  async #find(): Promise<void> {
    const { source, log } = this.#options;
    try {
      for await (const namespace of source.behind(this.name, this.#stopped.signal)) {
        if (this.#stopped.signal.aborted) return;
        if (this.#wants(namespace)) this.#behind.isBehind(namespace);
      }
    } catch (err) {
      log.warn(
        { err, sink: this.name },
        "namespaces could not be listed; those that grow are sent",
      );
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      const namespace = await this.#behind.next();
      if (namespace === undefined || signal.aborted || this.#hasEnded) return;
      try {
        this.#workedMs = 0;
        await this.#serve(namespace);
        this.#behind.served();
        this.#behind.rest(this.#options.pace.restMs(this.#workedMs));
      } catch (err) {
        if (signal.aborted) return;
        if (err instanceof SinkEndedError) {
          this.#end(err);
          return;
        }
        this.#readFailed(namespace, err);
      }
    }
  }

  /** A turn of one namespace. */
  async #serve(namespace: string): Promise<void> {
    const { source, filter, pace } = this.#options;
    const startMs = performance.now();
    await using reader = await source.open({ namespace, sink: this.name, filter });
    this.#workedMs += performance.now() - startMs;
    let missed = 0;
    for (let turn = 0; turn < (pace.isBusy ? 1 : limits.sinkTurnBatches); turn++) {
      const batch = await this.#collect(namespace, reader);
      if (batch === undefined) break;
      if (batch.messages.length > 0) await this.#deliver(batch);
      await reader.commit(batch.cursor);
      // Only now: what is read again is not counted again.
      this.#missed += batch.missed - missed;
      missed = batch.missed;
      this.#behind.lacks(reader.lag);
    }
    this.#behind.lacks(reader.lag);
  }

  async #collect(namespace: string, reader: SourceReader): Promise<Collected | undefined> {
    const { batch = { events: limits.sinkBatchEvents, bytes: limits.sinkBatchBytes } } =
      this.#options;
    const startMs = performance.now();
    const messages: SinkMessage[] = [];
    let cursor: string | undefined;
    let bytes = 0;
    while (messages.length < batch.events && bytes < batch.bytes) {
      const part = await reader.next();
      if (part === undefined) break;
      cursor = part.cursor;
      for (const message of part.messages) {
        if (!this.#shows(message)) continue;
        messages.push(message);
        if (message.kind === "event") bytes += sizeOf(message.event);
      }
    }
    this.#workedMs += performance.now() - startMs;
    if (cursor === undefined) return undefined;
    const first = messages.find((message) => message.kind === "event");
    const time = first?.event.createTime;
    const oldestMs = time && timestampMs(time);
    return { namespace, messages, cursor, missed: reader.missed, oldestMs };
  }

  #shows({ kind }: SinkMessage): boolean {
    const { deletions = true } = this.#options;
    return deletions || (kind !== "session_deleted" && kind !== "events_damaged");
  }

  /** Tries until it is delivered, or refused. Errors: SinkEndedError; any when it is stopped. */
  async #deliver(batch: Collected): Promise<void> {
    const { signal } = this.#stopped;
    this.#oldestMs = batch.oldestMs;
    try {
      let leaving: SinkBatch | undefined;
      for (;;) {
        signal.throwIfAborted();
        try {
          leaving ??= await this.#leaving(batch);
          await this.#deliverOnce(leaving);
          this.#worksAgain();
          return;
        } catch (error) {
          if (signal.aborted || error instanceof SinkEndedError) throw error;
          await this.#pause(error);
        }
      }
    } finally {
      this.#oldestMs = undefined;
    }
  }

  async #deliverOnce(batch: SinkBatch): Promise<void> {
    const { deadLetters, log } = this.#options;
    const events = countEvents(batch.messages);
    try {
      const startMs = performance.now();
      const delivered = this.#sink.deliver(batch, this.#stopped.signal);
      // Encoding; what comes then is waiting.
      this.#workedMs += performance.now() - startMs;
      await delivered;
      this.#events += events;
      this.#isRefusing = false;
    } catch (error) {
      if (!(error instanceof RefusedBatchError)) throw error;
      const { message: reason, messages = batch.messages } = error;
      const time = new Date(this.#options.now());
      await deadLetters.add({ ...batch, messages }, { reason, time });
      this.#refused += countEvents(messages);
      this.#events += events - countEvents(messages);
      const fields = { sink: this.name, reason, path: deadLetters.path };
      if (!this.#isRefusing) log.warn(fields, "a sink refused a batch, which is kept in a file");
      this.#isRefusing = true;
    }
  }

  /** The batch without what the sink must not have. */
  async #leaving({ namespace, messages }: SinkBatch): Promise<SinkBatch> {
    const events = messages.flatMap((message) => (message.kind === "event" ? [message.event] : []));
    const leaving = (await this.#options.redaction.apply(events)).values();
    const all = messages.map((message) => {
      if (message.kind !== "event") return message;
      const { value: event } = leaving.next();
      if (event === undefined) throw new Error("an event is missing");
      return { ...message, event };
    });
    return { namespace, messages: all };
  }

  async #pause(error: unknown): Promise<void> {
    const { log, random = Math.random, retryMs: firstMs = limits.sinkRetryMs } = this.#options;
    this.#failures++;
    this.#failuresInARow++;
    if (this.#failuresInARow === 1) {
      // A stack says nothing about a receiver.
      const why = error instanceof DeliveryError ? { reason: error.message } : { err: error };
      log.warn({ sink: this.name, ...why }, "a sink fails; it is tried again and again");
    }
    if (this.#isDraining) this.#onFailing();
    const askedMs = error instanceof DeliveryError ? error.retryAfterMs : undefined;
    const pause = pauseMs(this.#failuresInARow, { firstMs, askedMs, random });
    await sleep(pause, undefined, { signal: this.#stopped.signal, ref: false });
  }

  #worksAgain(): void {
    if (this.#failuresInARow === 0) return;
    const fields = { sink: this.name, failures: this.#failuresInARow, lag: this.#behind.commits };
    this.#options.log.info(fields, "a sink works again");
    this.#failuresInARow = 0;
  }

  /** The others go on; this namespace is looked at again later. */
  #readFailed(namespace: string, err: unknown): void {
    this.#behind.lacks(0);
    this.#behind.served();
    const fields = { err, sink: this.name, namespace };
    this.#options.log.warn(fields, "a sink cannot read a namespace; it is tried again");
    const later = sleep(limits.sinkRetryMaxMs, undefined, {
      signal: this.#stopped.signal,
      ref: false,
    });
    later.then(
      () => this.#behind.grew(namespace),
      () => {},
    );
  }

  #end({ message }: SinkEndedError): void {
    this.#hasEnded = true;
    this.#behind.close();
    const fields = { sink: this.name, reason: message };
    this.#options.log.warn(fields, "a sink has ended; what it lacks comes after the next start");
  }
}

function countEvents(messages: readonly SinkMessage[]): number {
  return messages.filter(({ kind }) => kind === "event").length;
}
