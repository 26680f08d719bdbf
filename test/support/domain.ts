import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  type AppendEventsResponse,
  CreateSessionRequestSchema,
  type Event,
  GetContextWindowRequestSchema,
  type GetContextWindowResponse,
  GetSessionRequestSchema,
  ListEventsRequestSchema,
  Role,
  type Session,
  TokenAccuracy,
  TokenCountSchema,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
} from "@sessiond/contract";
import { type Domain, type DomainOptions, wireDomain } from "../../src/domain/domain.ts";
import type { TokenCounter } from "../../src/domain/tokens/counter.ts";
import { randomIds } from "../../src/ids.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import type { Store } from "../../src/store/store.ts";

/** Counts a token a character, so that tests can say what they expect. */
export const characterCounter: TokenCounter = {
  count: async (texts, encoding) =>
    texts.map((text) =>
      create(TokenCountSchema, { count: text.length, encoding, accuracy: TokenAccuracy.EXACT }),
    ),
  shorten: async (text, { headTokens, tailTokens }) => {
    const cutTokens = text.length - headTokens - tailTokens;
    if (cutTokens <= 0) return undefined;
    const tail = text.slice(text.length - tailTokens);
    return { head: text.slice(0, headTokens), tail, cutTokens };
  },
  preload: async () => {},
  close: async () => {},
};

export interface TestDomain extends Domain, AsyncDisposable {
  readonly store: Store;
  /** The time the domain sees; set it freely. */
  now: number;
  /** Fires the signal that ends watches. */
  shutDown(): void;
  create(request: MessageInitShape<typeof CreateSessionRequestSchema>): Promise<Session>;
  append(
    request: MessageInitShape<typeof AppendEventsRequestSchema>,
  ): Promise<AppendEventsResponse>;
  get(sessionId: string): Promise<Session>;
  /** All events of a session, by pages. */
  log(sessionId: string): Promise<Event[]>;
  window(
    request: MessageInitShape<typeof GetContextWindowRequestSchema>,
  ): Promise<GetContextWindowResponse>;
  watch(
    request: MessageInitShape<typeof WatchEventsRequestSchema>,
    signal?: AbortSignal,
  ): AsyncGenerator<WatchEventsResponse>;
}

/** The domain over a memory store, a clock of its own, and one token a character. */
export async function openTestDomain(
  options: Partial<
    Pick<
      DomainOptions,
      | "store"
      | "ids"
      | "progressIntervalMs"
      | "hasSinks"
      | "isOfSink"
      | "tokens"
      | "costPer1000"
      | "namespaceRules"
      | "agentDefaults"
      | "quotaOf"
      | "archive"
      | "onSweepError"
      | "onHealthWarning"
      | "httpSummariser"
      | "onCompactionError"
      | "metricLabels"
      | "onConsumerError"
    >
  > = {},
): Promise<TestDomain> {
  const store = options.store ?? (await MemoryStore.open());
  const shutdown = new AbortController();
  let now = Date.UTC(2030, 0, 1);
  const domain = wireDomain({
    tokens: characterCounter,
    ids: randomIds,
    clock: () => now,
    shutdown: shutdown.signal,
    ...options,
    store,
  });
  return {
    ...domain,
    store,
    get now() {
      return now;
    },
    set now(time) {
      now = time;
    },
    shutDown: () => shutdown.abort(),
    create: async (request) => {
      const { session } = await domain.sessions.create(create(CreateSessionRequestSchema, request));
      if (session === undefined) throw new Error("no session in the answer");
      return session;
    },
    append: (request) => domain.events.append(create(AppendEventsRequestSchema, request)),
    get: (sessionId) => domain.sessions.get(create(GetSessionRequestSchema, { sessionId })),
    log: async (sessionId) => {
      const events: Event[] = [];
      let pageToken = "";
      do {
        const request = create(ListEventsRequestSchema, { sessionId, pageToken, pageSize: 1000 });
        const page = await domain.events.list(request);
        events.push(...page.events);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return events;
    },
    window: (request) => domain.windows.window(create(GetContextWindowRequestSchema, request)),
    watch: (request, signal = new AbortController().signal) =>
      domain.watches.watch(create(WatchEventsRequestSchema, request), signal),
    [Symbol.asyncDispose]: async () => {
      await domain.close();
      await store.close();
    },
  };
}

/** A user's text message, as a request carries it. */
export function userText(text: string) {
  return {
    role: Role.USER,
    payload: { case: "message", value: { text } },
  } as const;
}
