import { create } from "@bufbuild/protobuf";
import { type Event, type ToolResultPolicy, ToolResultPolicySchema } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import type { TokenCounter } from "../tokens/counter.ts";
import type { ModelEncoding } from "../tokens/encodings.ts";
import type { Group } from "./groups.ts";
import type { WindowPolicy } from "./policy.ts";
import { shortenResult } from "./shorten.ts";
import type { EventSizes } from "./sizes.ts";

/** A tool result with a part of it cut out. */
export interface Shortened {
  readonly event: Event;
  readonly tokens: number;
}

/** Tokens kept of the beginning and the end of a result, unless the policy says others. */
const defaultHeadTokens = 300;
const defaultTailTokens = 100;

/** Policies whose short forms are kept. */
const maxPolicies = 64;

/** Shortened tool results, each made once as long as its event stays in memory. */
export class Shortenings {
  readonly #tokens: TokenCounter;
  readonly #sizes: EventSizes;
  readonly #made = new Map<string, WeakMap<Event, Shortened | "never shorter">>();

  constructor(args: { tokens: TokenCounter; sizes: EventSizes }) {
    this.#tokens = args.tokens;
    this.#sizes = args.sizes;
  }

  /** Short forms of prepared results; of those that would not be shorter there is none. */
  async of(
    results: readonly Event[],
    policy: ToolResultPolicy,
    encoding: ModelEncoding,
  ): Promise<Map<Event, Shortened>> {
    const { headTokens, tailTokens, stubCharacters } = policy;
    const key = [encoding.encoding, encoding.factor, headTokens, tailTokens, stubCharacters].join();
    let made = this.#made.get(key);
    if (made === undefined) {
      // Requests bring policies of their own; an endless row of them must not stay.
      if (this.#made.size >= maxPolicies) this.#made.clear();
      made = new WeakMap();
      this.#made.set(key, made);
    }
    const known = made;
    await Promise.all(
      results
        .filter((event) => !known.has(event))
        .map(async (event) => {
          const whole = this.#sizes.of(event, encoding)?.count ?? 0;
          const short = await shortenResult({
            event,
            policy,
            encoding: encoding.encoding,
            factor: encoding.factor,
            whole,
            tokens: this.#tokens,
          });
          known.set(event, short ?? "never shorter");
        }),
    );
    const shortened = new Map<Event, Shortened>();
    for (const event of results) {
      const short = known.get(event);
      if (short !== undefined && short !== "never shorter") shortened.set(event, short);
    }
    return shortened;
  }
}

/** What is reduced whether a window has room or not: what a compaction says, and what a policy always does. */
export function reducedBefore(
  groups: readonly Group[],
  { compaction }: ContextState,
  { toolResults }: WindowPolicy,
): { results: Event[]; thinking: Event[] } {
  const { shortenedThrough = 0, thinkingDroppedThrough = 0 } = compaction ?? {};
  const old = toolResults.always
    ? new Set(oldResults(groups, keepWholeOf(toolResults)))
    : undefined;
  const results: Event[] = [];
  const thinking: Event[] = [];
  for (const { events } of groups) {
    for (const event of events) {
      const { revision, payload, protection } = event;
      if (protection !== undefined) continue;
      if (payload.case === "toolResult" && (revision <= shortenedThrough || old?.has(event))) {
        results.push(event);
      }
      if (payload.case === "thinking" && revision <= thinkingDroppedThrough) thinking.push(event);
    }
  }
  return { results, thinking };
}

/** Tool results that are not protected, without the newest of all of them. */
export function oldResults(groups: readonly Group[], keepWhole: number): Event[] {
  const results = groups
    .flatMap(({ events }) => events.filter(({ payload }) => payload.case === "toolResult"))
    .sort((a, b) => a.revision - b.revision);
  const old = keepWhole === 0 ? results : results.slice(0, -keepWhole);
  return old.filter(({ protection }) => protection === undefined);
}

/** Thinking of the turns before the current one, unless it is protected. */
export function oldThinking(groups: readonly Group[], turnRevision: number): Event[] {
  return groups.flatMap(({ events }) =>
    events.filter(
      ({ payload, protection, revision }) =>
        payload.case === "thinking" && protection === undefined && revision < turnRevision,
    ),
  );
}

/** Newest results that a policy leaves whole. */
export function keepWholeOf({ keepWhole = 5 }: ToolResultPolicy): number {
  return keepWhole;
}

/** The policy with all sizes divided, for windows that are too small for it. */
export function harder(policy: ToolResultPolicy, divisor: number): ToolResultPolicy {
  const { headTokens = defaultHeadTokens, tailTokens = defaultTailTokens } = policy;
  return create(ToolResultPolicySchema, {
    ...policy,
    headTokens: Math.floor(headTokens / divisor),
    tailTokens: Math.floor(tailTokens / divisor),
    stubCharacters: Math.ceil(policy.stubCharacters / divisor),
  });
}

/** Tokens a shortened result has at most, about. */
export function shortenedTokens({
  headTokens = defaultHeadTokens,
  tailTokens = defaultTailTokens,
  stubCharacters,
}: ToolResultPolicy): number {
  return (stubCharacters || headTokens + tailTokens) + 32;
}
