import {
  CallAbandonedError,
  EventTooLargeError,
  InvalidFieldError,
  RequestTooLargeError,
  SessionEndedError,
  WritesRefusedError,
} from "../errors/server-errors.ts";
import { SessiondError } from "../errors/sessiond-error.ts";
import type { Session } from "../session.ts";
import { Sessiond } from "../sessiond.ts";
import type { LogSettings } from "./log-options.ts";
import {
  droppedEntry,
  droppedType,
  type Entry,
  eventOf,
  LogQueue,
  textEntry,
} from "./log-queue.ts";

/** Longest wait before an append is tried again. */
const maxWaitMs = 10_000;
const firstWaitMs = 250;

/**
 * Appends lines to a session in batches, one append at a time, so that they stay in order.
 *
 * A server that is away is waited for: the batch is sent again with its request id, so it is stored
 * once. A session that has ended, or cannot take lines for another reason that lasts, ends the work:
 * further lines are passed over.
 */
export class LogSender {
  readonly #settings: LogSettings;
  readonly #warn: (text: string) => void;
  readonly #sessiond: Sessiond;
  readonly #queue: LogQueue;
  readonly #givingUp = new AbortController();
  #session: Promise<Session> | undefined;
  #working: Promise<void> | undefined;
  /** Ends the wait for more lines. */
  #hurry: (() => void) | undefined;
  #flushes = 0;
  #isOver = false;
  #isDropping = false;

  constructor({ settings, warn }: { settings: LogSettings; warn: (text: string) => void }) {
    const { address, namespace, queueLines } = settings;
    this.#settings = settings;
    this.#warn = warn;
    this.#sessiond = new Sessiond({ address, namespace });
    this.#queue = new LogQueue({ limitLines: queueLines });
  }

  push(entry: Entry): void {
    if (this.#isOver) return;
    const isDropped = !this.#queue.push(entry);
    if (isDropped && !this.#isDropping) {
      this.#warn(`${this.#settings.queueLines} lines wait; further ones are dropped and counted`);
    }
    this.#isDropping = isDropped;
    if (this.#queue.size >= this.#settings.batchLines) this.#hurry?.();
    this.#working ??= this.#work();
  }

  /** Resolves when all lines so far are stored or were given up. */
  async flush(): Promise<void> {
    this.#flushes++;
    this.#hurry?.();
    await this.#working;
    this.#flushes--;
  }

  /** Stores what waits, for as long as the settings say, and closes. Safe to call again. */
  async close({ atOnce = false }: { atOnce?: boolean } = {}): Promise<void> {
    const waitMs = atOnce ? 0 : this.#settings.flushTimeoutMs;
    const timer = setTimeout(() => this.#givingUp.abort(), waitMs);
    await this.flush();
    clearTimeout(timer);
    this.#isOver = true;
    this.#sessiond.close();
  }

  async #work(): Promise<void> {
    const { batchLines } = this.#settings;
    while (this.#queue.size > 0 && !this.#isOver) {
      if (this.#flushes === 0 && this.#queue.size < batchLines) await this.#moreLines();
      await this.#store(this.#queue.take(batchLines));
    }
    this.#working = undefined;
  }

  #moreLines(): Promise<void> {
    return new Promise((resolve) => {
      this.#hurry = () => {
        clearTimeout(timer);
        this.#hurry = undefined;
        resolve();
      };
      const timer = setTimeout(this.#hurry, this.#settings.batchMs);
    });
  }

  /** Stores entries, each in a form that is taken. */
  async #store(entries: readonly Entry[]): Promise<void> {
    const [first] = entries;
    if (first === undefined || this.#isOver) return;
    try {
      await this.#append(entries);
    } catch (error) {
      if (!isRefusal(error)) this.#end(error, entries);
      else if (entries.length > 1) {
        const middle = Math.ceil(entries.length / 2);
        await this.#store(entries.slice(0, middle));
        await this.#store(entries.slice(middle));
      } else if (first.type === droppedType) this.#end(error, entries);
      else if (typeof first.value !== "string") await this.#store([textEntry(first)]);
      else await this.#store([droppedEntry(1)]);
    }
  }

  /** Errors: those that last. */
  async #append(entries: readonly Entry[]): Promise<void> {
    const events = entries.map(eventOf);
    const requestId = crypto.randomUUID();
    const { signal } = this.#givingUp;
    for (let failures = 0; ; failures++) {
      try {
        const session = await this.#open();
        await session.append(events, { requestId, signal });
        return;
      } catch (error) {
        if (signal.aborted || !isPassing(error)) throw error;
        if (failures === 0) this.#warn(`${textOf(error)}; lines wait until it is back`);
        await pause(Math.min(maxWaitMs, firstWaitMs * 2 ** failures), signal);
      }
    }
  }

  /** The session; asked for again when it could not be had. */
  #open(): Promise<Session> {
    const { sessionId, fields } = this.#settings;
    // Nobody looks at windows of log lines, so nothing is to be summarised for them.
    const contextPolicy = { compaction: { manual: true } };
    this.#session ??= this.#sessiond.sessions
      .getOrCreate(sessionId, { contextPolicy, ...fields }, { signal: this.#givingUp.signal })
      .catch((error: unknown) => {
        this.#session = undefined;
        throw isRefusal(error) ? new UnusableSession(textOf(error), { cause: error }) : error;
      });
    return this.#session;
  }

  #end(error: unknown, entries: readonly Entry[]): void {
    this.#isOver = true;
    const lines = entries.reduce((sum, entry) => sum + entry.lines, this.#queue.lines);
    this.#queue.clear();
    const { sessionId } = this.#settings;
    this.#warn(
      this.#givingUp.signal.aborted
        ? `the server did not take ${lines} lines before the end; they are lost`
        : error instanceof SessionEndedError
          ? `session "${sessionId}" has ended; log lines from here on are not stored in it`
          : `${textOf(error)}; log lines from here on are not stored`,
    );
  }
}

/** The session cannot be created as the options ask for it. */
class UnusableSession extends Error {}

/** The same append may succeed when something outside has changed. */
function isPassing(error: unknown): boolean {
  if (error instanceof WritesRefusedError || error instanceof CallAbandonedError) return true;
  return error instanceof SessiondError && error.retryable;
}

/** Lines, not the server or the session, are what is wrong. */
function isRefusal(error: unknown): boolean {
  const classes = [InvalidFieldError, EventTooLargeError, RequestTooLargeError];
  if (classes.some((known) => error instanceof known)) return true;
  return !(error instanceof SessiondError) && !(error instanceof UnusableSession);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Waits, without keeping a process alive that has nothing else to do. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    timer.unref();
    signal.addEventListener("abort", wake, { once: true });
    if (signal.aborted) wake();
  });
}
