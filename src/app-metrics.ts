import type { IncomingMessage, ServerResponse } from "node:http";
import { CompactionStrategy, type Event, EventSchema } from "@sessiond/contract";
import { type Readable, readings } from "./app-readings.ts";
import { SessionTally, sessionsOf } from "./domain/metrics/session-tally.ts";
import type { Store } from "./store/store.ts";
import { type CountedTexts, type EndedCall, Meters } from "./telemetry/meters.ts";
import { Metrics } from "./telemetry/metrics.ts";
import type { Page } from "./transport/http.ts";

/** Measures a server for whoever scrapes its probe port. */
export class AppMetrics {
  readonly #meters = new Meters();
  #tally: SessionTally | undefined;
  #metrics: Metrics | undefined;

  /** What the transport is given. */
  get ofCalls() {
    return { onCallEnd: (call: EndedCall) => this.#meters.call(call) };
  }

  /** What the store in a file is given. */
  get ofWrites() {
    return {
      observer: {
        written: (seconds: number) => this.#meters.commit(seconds),
        settled: (writes: number) => this.#meters.batch(writes),
      },
    };
  }

  /** What the token counter is given. */
  get ofTokens() {
    return { onCounted: (texts: CountedTexts) => this.#meters.counted(texts) };
  }

  /** What the probe port serves. */
  get pages(): ReadonlyMap<string, Page> {
    return new Map([["/metrics", (request, response) => this.#answer(request, response)]]);
  }

  /** Counts what commits bring, from now on. */
  observeStore(store: Pick<Store, "records" | "onCommit">): void {
    this.#tally = new SessionTally(sessionsOf(store));
    store.onCommit(({ change: { events } }) => {
      if (events.length > 0) this.#count(events);
    });
  }

  /** Counts the sessions that are there, beside all else. */
  start(parts: Omit<Readable, "tally">, onError: (error: unknown) => void): void {
    const tally = this.#tally ?? new SessionTally(sessionsOf(parts.store));
    this.#metrics = new Metrics([...this.#meters.families, ...readings({ ...parts, tally })]);
    tally.fill().catch(onError);
  }

  async close(): Promise<void> {
    await this.#tally?.close();
  }

  async #answer({ headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const exposition = await this.#metrics?.scrape(headers.accept);
    if (exposition === undefined) {
      response.writeHead(503).end();
      return;
    }
    response.writeHead(200, { "content-type": exposition.contentType }).end(exposition.text);
  }

  #count(events: readonly Event[]): void {
    this.#meters.events(
      events.map(({ payload, tokens, protection }) => ({
        payload: payloadNames.get(payload.case) ?? "none",
        tokens: tokens?.count ?? 0,
        isProtected: protection !== undefined,
      })),
    );
    for (const { payload } of events) {
      if (payload.case !== "compaction") continue;
      const { strategy, tokensBefore, tokensAfter } = payload.value;
      const name = CompactionStrategy[strategy].toLowerCase();
      this.#meters.compaction({ strategy: name, tokensBefore, tokensAfter });
    }
  }
}

/** Names of payloads in the contract: "tool_call". */
const payloadNames: ReadonlyMap<string | undefined, string> = new Map(
  EventSchema.oneofs.flatMap(({ fields }) =>
    fields.map(({ localName, name }) => [localName, name]),
  ),
);
