import type { TokenCount as ContractCount } from "@sessiond/contract";
import { type CallOptions, toConnectOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { type EventInput, toEventInit } from "../event-input.ts";
import type { SessionChanges } from "../session-input.ts";
import { type AccuracyWord, accuracies, type DialectWord, dialects, wordFor } from "../words.ts";
import { meaningOf } from "./checks.ts";

/** What to count, and how. */
export interface CountInput extends CallOptions {
  /** Up to 1,000. */
  readonly texts?: readonly string[] | undefined;
  /** Events as they would be appended, up to 1,000. */
  readonly events?: readonly EventInput[] | undefined;
  /** Tools with their schemas, up to 256. */
  readonly tools?: NonNullable<SessionChanges["tools"]> | undefined;
  /** Model to count for; chooses the encoding. Default: o200k_base. */
  readonly model?: string | undefined;
  /** Encoding to count in. Default: the model's. */
  readonly encoding?: string | undefined;
  /** Count what the dialect adds to each event. Default: nothing. */
  readonly dialect?: DialectWord | undefined;
}

/** Tokens of one thing. */
export interface TokenCount {
  readonly count: number;
  /** Encoding they were counted in, for example "o200k_base". */
  readonly encoding: string;
  /** Undefined for a word newer than this client. */
  readonly accuracy: AccuracyWord | undefined;
}

/** Tokens of what was counted; lists are in the order given. */
export interface TokenCounts {
  readonly total: TokenCount;
  readonly texts: readonly TokenCount[];
  /** Without the dialect's overhead. */
  readonly events: readonly TokenCount[];
  readonly tools: readonly TokenCount[];
  /** What the dialect adds. */
  readonly overhead: number;
}

/** Counts tokens. `Sessiond.countTokens` documents it. */
export async function countTokens(
  context: ClientContext,
  { texts = [], events = [], tools = [], ...input }: CountInput,
): Promise<TokenCounts> {
  const request = {
    model: input.model ?? "",
    encoding: input.encoding ?? "",
    texts: [...texts],
    events: events.map(toEventInit),
    tools,
    ...(input.dialect === undefined
      ? {}
      : { dialect: meaningOf("dialect", { words: dialects, word: input.dialect }) }),
  };
  const call = context.clients.context.countTokens(request, toConnectOptions(input));
  const message = await translated(call);
  return {
    total: toCount(message.total),
    texts: message.texts.map(toCount),
    events: message.events.map(toCount),
    tools: message.tools.map(toCount),
    overhead: message.overhead,
  };
}

function toCount(message: ContractCount | undefined): TokenCount {
  return {
    count: message?.count ?? 0,
    encoding: message?.encoding ?? "",
    accuracy: message && wordFor(accuracies, message.accuracy),
  };
}
