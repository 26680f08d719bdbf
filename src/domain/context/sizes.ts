import { type Event, TokenAccuracy, type TokenCount } from "@sessiond/contract";
import type { CacheStats } from "../cache-stats.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import type { ModelEncoding } from "../tokens/encodings.ts";
import { countEvents } from "../tokens/media.ts";

/**
 * Tokens of events in the encoding of a window.
 *
 * They were counted at append in the encoding of the session. For another one they are counted
 * again, once as long as the event stays in memory.
 */
export class EventSizes {
  readonly #tokens: TokenCounter;
  readonly #counts = new Map<string, WeakMap<Event, TokenCount>>();
  #hits = 0;
  #misses = 0;

  constructor({ tokens }: { tokens: TokenCounter }) {
    this.#tokens = tokens;
  }

  /**
   * A hit is an event of a window whose count was known, from its append or from a window before. The
   * counts are kept with the events, so how many there are is not known.
   */
  get stats(): CacheStats {
    return { hits: this.#hits, misses: this.#misses };
  }

  /** Counts what has to be counted again. Then `of` knows all of the events. */
  async prepare(events: readonly Event[], encoding: ModelEncoding): Promise<void> {
    const missing = events.filter(
      (event) => !isCountedIn(event, encoding) && !this.#known(encoding).has(event),
    );
    this.#hits += events.length - missing.length;
    this.#misses += missing.length;
    if (missing.length === 0) return;
    const counts = await countEvents(this.#tokens, missing, encoding);
    const known = this.#known(encoding);
    for (const [index, event] of missing.entries()) {
      const count = counts[index];
      if (count !== undefined) known.set(event, count);
    }
  }

  /** Tokens of a prepared event; undefined: it has none. */
  of(event: Event, encoding: ModelEncoding): TokenCount | undefined {
    if (isCountedIn(event, encoding)) return event.tokens;
    return this.#known(encoding).get(event);
  }

  #known({ encoding, factor }: ModelEncoding): WeakMap<Event, TokenCount> {
    const key = `${encoding} ${factor}`;
    let known = this.#counts.get(key);
    if (known === undefined) {
      known = new WeakMap();
      this.#counts.set(key, known);
    }
    return known;
  }
}

/** The count made at append is good for the encoding: exact where it is exact, scaled where not. */
function isCountedIn({ tokens }: Event, { encoding, factor }: ModelEncoding): boolean {
  if (tokens === undefined) return true;
  if (tokens.encoding !== encoding) return false;
  // What was scaled or reported for a model is no count of the encoding itself.
  return (factor === 1) === (tokens.accuracy === TokenAccuracy.EXACT);
}
