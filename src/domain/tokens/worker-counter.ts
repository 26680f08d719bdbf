import { setImmediate as nextTurn } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { TokenAccuracy, type TokenCount } from "@sessiond/contract";
import { ShuttingDownError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Keep, ShortText, TokenCounter } from "./counter.ts";
import { toEncoding, tokenCount } from "./encodings.ts";
import { estimateCut, estimateTokens } from "./estimate.ts";
import type { Cut } from "./jobs.ts";
import { PretokenCounts, pretokensOf } from "./pretokens.ts";
import { type CountReply, type CutReply, type Encoding, encodings } from "./protocol.ts";
import { TokenThread } from "./token-thread.ts";

/** UTF-16 units that are estimated in one turn of the event loop, some milliseconds of it. */
const estimateLength = 1024 * 1024;
/** UTF-16 units of one request that are cut into pretokens here, a millisecond or two of the event loop. */
const inlineLength = 8 * 1024;
/** Pretokens that the worker is asked for because of one text. With more of them it is asked for the text. */
const maxUnknown = 8;
/** What a text takes from the room for those that wait, beside its length. */
const overhead = 512;

/** A text to count that the worker has been given, or will be at the end of this turn of the event loop. */
interface Pending {
  readonly text: string;
  readonly encoding: Encoding;
  readonly resolve: (count: TokenCount) => void;
}

/** A text that the worker finds the ends of. */
interface PendingCut {
  readonly text: string;
  readonly keep: Keep;
  readonly resolve: (cut: Cut | undefined) => void;
}

interface WorkerCounterOptions {
  /** Is told when the worker dies. */
  readonly log: { warn(fields: { err: unknown }, message: string): void };
  /** Starts the worker. Default: the file beside this one, as source or as built. */
  readonly startWorker?: () => Worker;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs?: () => number;
  /** Hears how long counting takes. Absent: nobody does. */
  readonly onCounted?: (counted: CountedTexts) => void;
}

/** Texts that were counted for one request. */
export interface CountedTexts {
  readonly exact: number;
  readonly estimated: number;
  readonly seconds: number;
}

/**
 * Counts tokens in a worker thread, which starts at the first count or preload.
 *
 * Short texts are cut into pretokens here, and the worker is asked for those that were never met; what
 * it says of them is remembered. The texts of one turn of the event loop travel in one message; short ones
 * overtake long ones.
 * Counts always come: when more than `limits.tokenQueueLength` UTF-16 units wait, and when the
 * worker dies, they are estimated (see `estimate.ts`) and marked so. The worker does not keep the
 * process alive.
 */
export class WorkerTokenCounter implements TokenCounter {
  readonly #log: WorkerCounterOptions["log"];
  readonly #onCounted: WorkerCounterOptions["onCounted"];
  readonly #thread: TokenThread;
  readonly #pretokens = new Map<Encoding, PretokenCounts>();
  readonly #pending = new Map<number, Pending>();
  readonly #pendingCuts = new Map<number, PendingCut>();
  #nextId = 0;
  #nextCutId = 0;
  #waitingLength = 0;
  /** What is sent at the end of this turn; the first has the id `#nextId` - its length. */
  #batch: Pending[] = [];
  #closed = false;

  constructor(options: WorkerCounterOptions) {
    this.#log = options.log;
    this.#onCounted = options.onCounted;
    this.#thread = new TokenThread({
      startWorker: options.startWorker,
      nowMs: options.nowMs,
      onReply: (reply) => ("ids" in reply ? this.#counted(reply) : this.#cut(reply)),
      onDeath: (err) => this.#onDeath(err),
    });
  }

  /** Errors: NotSupportedError for an unknown encoding, ShuttingDownError after `close`. */
  async count(texts: readonly string[], encoding: string): Promise<TokenCount[]> {
    const known = toEncoding(encoding);
    if (this.#closed) throw new ShuttingDownError();
    const startMs = performance.now();
    let length = 0;
    const counts = await Promise.all(
      texts.map((text) => {
        length += text.length;
        // Of many texts the worker takes the rest, or others would wait for them all to be cut.
        return length <= inlineLength ? this.#countShort(text, known) : this.#ask(text, known);
      }),
    );
    if (texts.length > 0) this.#onCounted?.(counted(counts, startMs));
    return counts;
  }

  /** Errors: as `count`. */
  async shorten(text: string, keep: Keep, encoding: string): Promise<ShortText | undefined> {
    const known = toEncoding(encoding);
    if (this.#closed) throw new ShuttingDownError();
    if (keep.headTokens + keep.tailTokens >= keep.wholeTokens) return undefined;
    const cut = await this.#findCut(text, keep, known);
    return (
      cut && {
        head: text.slice(0, cut.headLength),
        tail: text.slice(text.length - cut.tailLength),
        cutTokens: Math.max(1, keep.wholeTokens - cut.keptTokens),
      }
    );
  }

  async preload(encoding: string): Promise<void> {
    if (this.#closed) throw new ShuttingDownError();
    // Not by `count`, because nobody asked for it.
    await this.#ask("a", toEncoding(encoding));
  }

  /** Ends the worker. Counts under way are estimated. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#estimatePending(), this.#thread.close()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #countShort(text: string, encoding: Encoding): TokenCount | Promise<TokenCount> {
    const pretokens = pretokensOf(text, encoding);
    if (pretokens === undefined) return this.#ask(text, encoding);
    const known = this.#knownOf(encoding);
    const unknown: string[] = [];
    let count = 0;
    for (const pretoken of pretokens) {
      const tokens = known.get(pretoken);
      if (tokens === undefined) unknown.push(pretoken);
      else count += tokens;
    }
    if (unknown.length > 0) return this.#learn({ text, count, unknown, encoding });
    return tokenCount({ count, encoding, estimated: false });
  }

  /**
   * Asks for the pretokens of a text that are not known, and adds them to what the others count. When there
   * are many it asks for the text, and learns some of them beside.
   */
  async #learn(args: {
    readonly text: string;
    readonly count: number;
    readonly unknown: readonly string[];
    readonly encoding: Encoding;
  }): Promise<TokenCount> {
    const { text, unknown, encoding } = args;
    const different = [...new Set(unknown)];
    if (different.length > maxUnknown) {
      const whole = this.#ask(text, encoding);
      void this.#askPretokens(different.slice(0, maxUnknown), encoding);
      return whole;
    }
    const learned = await this.#askPretokens(different, encoding);
    // For lack of room or of a worker: then the text is estimated as a whole.
    if (learned === undefined) return estimate(text, encoding);
    let { count } = args;
    for (const pretoken of unknown) count += learned.get(pretoken) ?? 0;
    return tokenCount({ count, encoding, estimated: false });
  }

  /** Asks for pretokens and remembers them; undefined: not all could be counted. */
  async #askPretokens(
    pretokens: readonly string[],
    encoding: Encoding,
  ): Promise<ReadonlyMap<string, number> | undefined> {
    const asked = await Promise.all(pretokens.map((pretoken) => this.#ask(pretoken, encoding)));
    if (asked.some(({ accuracy }) => accuracy !== TokenAccuracy.EXACT)) return undefined;
    const learned = new Map(
      pretokens.map((pretoken, index) => [pretoken, asked[index]?.count ?? 0]),
    );
    const known = this.#knownOf(encoding);
    for (const [pretoken, count] of learned) known.set(pretoken, count);
    return learned;
  }

  #knownOf(encoding: Encoding): PretokenCounts {
    let known = this.#pretokens.get(encoding);
    if (known === undefined) {
      known = new PretokenCounts({ limit: limits.knownPretokens });
      this.#pretokens.set(encoding, known);
    }
    return known;
  }

  /** Has the worker count a text. */
  #ask(text: string, encoding: Encoding): TokenCount | Promise<TokenCount> {
    if (text === "") return tokenCount({ count: 0, encoding, estimated: false });
    if (!this.#hasRoomFor(text)) return estimate(text, encoding);
    return new Promise((resolve) => {
      if (this.#batch.length === 0) setImmediate(() => this.#send());
      const pending = { text, encoding, resolve };
      this.#batch.push(pending);
      this.#pending.set(this.#nextId, pending);
      this.#nextId = (this.#nextId + 1) >>> 0;
      this.#waitingLength += roomOf(text);
    });
  }

  #send(): void {
    const batch = this.#batch;
    this.#batch = [];
    // Empty when the worker died or the counter was closed since: all were estimated then.
    if (batch.length === 0) return;
    const sent = this.#thread.send({
      firstId: (this.#nextId - batch.length) >>> 0,
      texts: batch.map((pending) => pending.text),
      encodings: Uint8Array.from(batch, (pending) => encodings.indexOf(pending.encoding)),
    });
    if (!sent) void this.#estimatePending();
  }

  #findCut(
    text: string,
    keep: Keep,
    encoding: Encoding,
  ): Cut | undefined | Promise<Cut | undefined> {
    if (!this.#hasRoomFor(text)) return estimateCut(text, keep);
    const id = this.#nextCutId;
    const { headTokens, tailTokens } = keep;
    if (!this.#thread.send({ id, text, encoding, headTokens, tailTokens })) {
      return estimateCut(text, keep);
    }
    this.#nextCutId = (id + 1) >>> 0;
    this.#waitingLength += roomOf(text);
    return new Promise((resolve) => this.#pendingCuts.set(id, { text, keep, resolve }));
  }

  #hasRoomFor(text: string): boolean {
    return this.#waitingLength + roomOf(text) <= limits.tokenQueueLength;
  }

  #counted({ ids, counts, estimated }: CountReply): void {
    for (const [index, id] of ids.entries()) {
      const pending = this.#pending.get(id);
      // Unknown ids are answers to texts that were estimated meanwhile.
      if (pending === undefined) continue;
      this.#pending.delete(id);
      this.#waitingLength -= roomOf(pending.text);
      pending.resolve(
        tokenCount({
          count: counts[index] ?? 0,
          encoding: pending.encoding,
          estimated: estimated[index] === 1,
        }),
      );
    }
  }

  #cut({ id, cut }: CutReply): void {
    const pending = this.#pendingCuts.get(id);
    if (pending === undefined) return;
    this.#pendingCuts.delete(id);
    this.#waitingLength -= roomOf(pending.text);
    pending.resolve(cut);
  }

  #onDeath(err: unknown): void {
    const lost = this.#pending.size + this.#pendingCuts.size;
    this.#log.warn({ err }, `token worker died; ${lost} texts it was given are estimated`);
    void this.#estimatePending();
  }

  async #estimatePending(): Promise<void> {
    const counts = [...this.#pending.values()];
    const cuts = [...this.#pendingCuts.values()];
    this.#pending.clear();
    this.#pendingCuts.clear();
    this.#batch = [];
    this.#waitingLength = 0;
    for (const { text, keep, resolve } of cuts) resolve(estimateCut(text, keep));
    let length = 0;
    for (const { text, encoding, resolve } of counts) {
      resolve(estimate(text, encoding));
      length += roomOf(text);
      if (length < estimateLength) continue;
      length = 0;
      await nextTurn();
    }
  }
}

function roomOf({ length }: string): number {
  return length + overhead;
}

function estimate(text: string, encoding: Encoding): TokenCount {
  return tokenCount({ count: estimateTokens(text), encoding, estimated: true });
}

function counted(counts: readonly TokenCount[], startMs: number): CountedTexts {
  const seconds = (performance.now() - startMs) / 1_000;
  const exact = counts.filter(({ accuracy }) => accuracy === TokenAccuracy.EXACT).length;
  return { exact, estimated: counts.length - exact, seconds };
}
