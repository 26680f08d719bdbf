import { create } from "@bufbuild/protobuf";
import {
  type CountTokensRequest,
  CountTokensRequestSchema,
  type CountTokensResponse,
  CountTokensResponseSchema,
  Dialect,
  TokenAccuracy,
  type TokenCount,
} from "@sessiond/contract";
import type { TokenCounter } from "../tokens/counter.ts";
import {
  encodingForModel,
  type ModelEncoding,
  scaleCount,
  toEncoding,
  tokenCount,
} from "../tokens/encodings.ts";
import { countEvents } from "../tokens/media.ts";
import { validate } from "../validation/validate.ts";
import { overheadOf, windowOverhead } from "./dialects/overhead.ts";
import { toolText } from "./instructions.ts";

/** Counts what callers ask about, as windows count. */
export class TokenCounting {
  readonly #tokens: TokenCounter;

  constructor(args: { tokens: TokenCounter }) {
    this.#tokens = args.tokens;
  }

  /** Errors: as documented at the rpc. */
  async count(request: CountTokensRequest): Promise<CountTokensResponse> {
    validate(CountTokensRequestSchema, request);
    const chosen = encodingOf(request);
    const { encoding, factor } = chosen;
    const [counts, found] = await Promise.all([
      this.#tokens.count([...request.texts, ...request.tools.map(toolText)], encoding),
      countEvents(this.#tokens, request.events, chosen),
    ]);
    const scaled = counts.map((count) => scaleCount(count, factor));
    const texts = scaled.slice(0, request.texts.length);
    const tools = scaled.slice(request.texts.length);
    const nothing = tokenCount({ count: 0, encoding, estimated: false });
    const events = found.map((count) => count ?? nothing);
    const overhead = overheadFor(request);
    return create(CountTokensResponseSchema, {
      total: sum([...texts, ...events, ...tools], { encoding, overhead }),
      texts,
      events,
      tools,
      overhead,
    });
  }
}

/** An encoding that is named is counted in as it is; a model may add its factor. */
function encodingOf({ encoding, model }: CountTokensRequest): ModelEncoding {
  return encoding === "" ? encodingForModel(model) : { encoding: toEncoding(encoding), factor: 1 };
}

function overheadFor({ dialect, events }: CountTokensRequest): number {
  if (dialect === Dialect.UNSPECIFIED) return 0;
  return events.reduce(
    (overhead, event) => overhead + overheadOf(dialect, event),
    windowOverhead(dialect),
  );
}

/** All together: as sure as the least sure of them. */
function sum(
  counts: readonly TokenCount[],
  { encoding, overhead }: { encoding: string; overhead: number },
): TokenCount {
  return tokenCount({
    count: counts.reduce((total, { count }) => total + count, overhead),
    encoding,
    estimated: counts.some(({ accuracy }) => accuracy !== TokenAccuracy.EXACT),
  });
}
