import { Counter } from "./counter.ts";
import type { Family } from "./family.ts";
import { Histogram } from "./histogram.ts";

/** From a tenth of a millisecond to ten seconds. */
const seconds = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];
const powersOf4 = [1, 4, 16, 64, 256, 1_024];

/** A call that has ended, as the transport tells of it. */
export interface EndedCall {
  readonly service: string;
  readonly method: string;
  readonly kind: "unary" | "stream";
  /** "ok", or the code of the error, for example "not_found". */
  readonly code: string;
  /** Of the error. */
  readonly reason: string | undefined;
  readonly seconds: number;
}

/** What one event adds. */
export interface CountedEvent {
  readonly payload: string;
  readonly tokens: number;
  readonly isProtected: boolean;
}

/** A compaction that was made. */
export interface CountedCompaction {
  readonly strategy: string;
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

/**
 * What is counted as it happens: plain numbers, a fraction of a microsecond each. No library is needed
 * until somebody wants to read them.
 */
export class Meters {
  readonly #calls = new Counter({
    name: "sessiond_calls_total",
    help: "Calls that have ended; over HTTP a request that cannot be decoded is none.",
    labels: ["service", "method", "code"],
  });
  readonly #errors = new Counter({
    name: "sessiond_call_errors_total",
    help: "Calls that ended with an error, by its reason.",
    labels: ["service", "method", "code", "reason"],
  });
  readonly #callSeconds = new Histogram({
    name: "sessiond_call_duration_seconds",
    help: "Time from a unary call's request to its answer; streams last as long as their readers want.",
    labels: ["service", "method", "code"],
    bounds: seconds,
  });
  readonly #commitSeconds = new Histogram({
    name: "sessiond_commit_duration_seconds",
    help: "Time until a commit was on disk. None in memory.",
    labels: [],
    bounds: seconds,
  });
  readonly #batchCommits = new Histogram({
    name: "sessiond_commit_batch_size",
    help: "Commits that were on disk together, most of them by one sync. None in memory.",
    labels: [],
    bounds: powersOf4,
  });
  readonly #commitEvents = new Histogram({
    name: "sessiond_commit_events",
    help: "Events of a commit.",
    labels: [],
    bounds: powersOf4,
  });
  readonly #events = new Counter({
    name: "sessiond_events_total",
    help: "Events that became durable, without imported ones.",
    labels: ["payload"],
  });
  readonly #tokens = new Counter({
    name: "sessiond_event_tokens_total",
    help: "Tokens of events that became durable.",
    labels: [],
  });
  readonly #protectedEvents = new Counter({
    name: "sessiond_protected_events_total",
    help: "Events that became durable and were protected at once.",
    labels: [],
  });
  readonly #protectedTokens = new Counter({
    name: "sessiond_protected_event_tokens_total",
    help: "Tokens of events that became durable and were protected at once.",
    labels: [],
  });
  readonly #compactions = new Counter({
    name: "sessiond_compactions_total",
    help: "Compactions that became durable.",
    labels: ["strategy"],
  });
  readonly #tokensBefore = new Counter({
    name: "sessiond_compaction_tokens_before_total",
    help: "Tokens of windows before their compactions.",
    labels: [],
  });
  readonly #tokensAfter = new Counter({
    name: "sessiond_compaction_tokens_after_total",
    help: "Tokens of windows after their compactions.",
    labels: [],
  });
  readonly #countSeconds = new Histogram({
    name: "sessiond_token_count_duration_seconds",
    help: "Time until the texts of one request were counted.",
    labels: [],
    bounds: seconds,
  });
  readonly #texts = new Counter({
    name: "sessiond_texts_counted_total",
    help: "Texts whose tokens were counted, or estimated because too much waited.",
    labels: ["accuracy"],
  });

  readonly families: readonly Family[] = [
    this.#calls,
    this.#errors,
    this.#callSeconds,
    this.#commitSeconds,
    this.#batchCommits,
    this.#commitEvents,
    this.#events,
    this.#tokens,
    this.#protectedEvents,
    this.#protectedTokens,
    this.#compactions,
    this.#tokensBefore,
    this.#tokensAfter,
    this.#countSeconds,
    this.#texts,
  ];

  call({ service, method, kind, code, reason, seconds }: EndedCall): void {
    this.#calls.add(1, service, method, code);
    if (kind === "unary") this.#callSeconds.observe(seconds, service, method, code);
    if (code !== "ok") this.#errors.add(1, service, method, code, reason ?? "");
  }

  /** A commit that was on disk so long after it was handed over. */
  commit(seconds: number): void {
    this.#commitSeconds.observe(seconds);
  }

  /** Commits that were on disk together. */
  batch(commits: number): void {
    this.#batchCommits.observe(commits);
  }

  /** The events of one commit, none of which is a repetition. */
  events(events: readonly CountedEvent[]): void {
    this.#commitEvents.observe(events.length);
    for (const { payload, tokens, isProtected } of events) {
      this.#events.add(1, payload);
      this.#tokens.add(tokens);
      if (!isProtected) continue;
      this.#protectedEvents.add(1);
      this.#protectedTokens.add(tokens);
    }
  }

  compaction({ strategy, tokensBefore, tokensAfter }: CountedCompaction): void {
    this.#compactions.add(1, strategy);
    this.#tokensBefore.add(tokensBefore);
    this.#tokensAfter.add(tokensAfter);
  }

  /** Texts that were counted for one request. */
  counted({ exact, estimated, seconds }: CountedTexts): void {
    this.#countSeconds.observe(seconds);
    if (exact > 0) this.#texts.add(exact, "exact");
    if (estimated > 0) this.#texts.add(estimated, "estimated");
  }
}

export interface CountedTexts {
  readonly exact: number;
  readonly estimated: number;
  readonly seconds: number;
}
