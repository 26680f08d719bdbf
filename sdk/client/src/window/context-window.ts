import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type {
  WindowItem as ContractItem,
  GetContextWindowResponse,
  GroupExplanation as GroupMessage,
} from "@sessiond/contract";
import type { RequestPart } from "../dialects/request-part.ts";
import { type SessionEvent, toSessionEvent } from "../session-event.ts";
import {
  type AccuracyWord,
  accuracies,
  type DialectWord,
  type TreatmentWord,
  treatments,
  wordFor,
} from "../words.ts";

/** What a model should see of a session, within a token budget. */
export interface ContextWindow<D extends DialectWord | undefined = undefined> {
  /** What the model should see, in order. */
  readonly items: readonly WindowItem[];
  /** The part of the provider's request, for the dialect asked for; else undefined. */
  readonly rendered: RequestPart<D>;
  /** Tokens of the window, by what they are for. */
  readonly tokens: WindowTokens;
  /** Tokens it may have. */
  readonly budget: number;
  /** Tokens of the budget kept free for the model's answer. */
  readonly reservedOutput: number;
  /** `tokens.total` / (`budget` - `reservedOutput`). */
  readonly ratio: number;
  /** Encoding the tokens are counted in, for example "o200k_base". */
  readonly encoding: string;
  /** How sure the counts are. Undefined for a word newer than this client. */
  readonly accuracy: AccuracyWord | undefined;
  /**
   * Names the beginning of the window, which stays the same until the next compaction or cut, so
   * that providers cache it. Opaque; give it as `knownPrefixHash` to the next call.
   */
  readonly prefixHash: string;
  /** `knownPrefixHash` was given and is another. */
  readonly prefixChanged: boolean;
  /** What changed it: "instructions", "compaction", "protection", "cut" or "request". */
  readonly prefixChangeReason: string | undefined;
  /** What became of each group of events, oldest first. Empty without `explain`. */
  readonly groups: readonly GroupExplanation[];
  /** The index for the query did not hold all older events yet; a later call may find more. */
  readonly indexPartial: boolean;
  /** Revision of the session it shows. */
  readonly headRevision: number;
  /** The answer in the form of the contract. */
  readonly message: GetContextWindowResponse;
}

/** One piece of a context window. */
export interface WindowItem {
  /** The event as the model should see it; one made for the window has revision 0. */
  readonly event: SessionEvent;
  /** What was done to it. Undefined for a treatment newer than this client. */
  readonly treatment: TreatmentWord | undefined;
  /** Tokens it has in the window. */
  readonly tokens: number;
  /** Why it is here, for example "recent", "summary" or the reason of its protection. */
  readonly reason: string;
  /** Revisions a summary stands for. */
  readonly covered: readonly RevisionRange[];
}

/** Tokens of a window, by what they are for. Each is counted once. */
export interface WindowTokens {
  readonly total: number;
  /** System instructions, goal and context. */
  readonly instructions: number;
  /** Names, descriptions and schemas of tools, which travel beside the messages. */
  readonly tools: number;
  readonly protected: number;
  readonly summary: number;
  readonly toolResults: number;
  /** Everything else. */
  readonly recent: number;
  /** What the dialect adds to each message. */
  readonly overhead: number;
}

/** What became of a group of events, or of neighbouring groups that left the window together. */
export interface GroupExplanation {
  readonly firstRevision: number;
  readonly lastRevision: number;
  readonly treatment: TreatmentWord | undefined;
  /** Why, in words. */
  readonly reason: string;
  /** Tokens in the window; of groups that left, what left with them where that is known. */
  readonly tokens: number;
}

/** Revisions from first to last, both included. */
export interface RevisionRange {
  readonly first: number;
  readonly last: number;
}

/** Makes the light form of a window. `rendered` is what the request's dialect stands for. */
export function toContextWindow<D extends DialectWord | undefined>(
  message: GetContextWindowResponse,
): ContextWindow<D> {
  const { rendered } = message;
  return {
    items: message.items.flatMap(toItem),
    // The server renders what the dialect's types say; a test holds both against each other.
    rendered: (rendered && toJson(ValueSchema, rendered)) as RequestPart<D>,
    tokens: toTokens(message.tokens),
    budget: message.tokenBudget,
    reservedOutput: message.reservedOutputTokens,
    ratio: message.ratio,
    encoding: message.encoding,
    accuracy: wordFor(accuracies, message.accuracy),
    prefixHash: message.prefixHash,
    prefixChanged: message.prefixChanged,
    prefixChangeReason: message.prefixChangeReason || undefined,
    groups: message.groups.map(toGroup),
    indexPartial: message.indexPartial,
    headRevision: message.headRevision,
    message,
  };
}

function toItem({ event, treatment, tokens, reason, covered }: ContractItem): WindowItem[] {
  if (event === undefined) return [];
  const word = wordFor(treatments, treatment);
  return [
    {
      event: toSessionEvent(event),
      treatment: word,
      tokens,
      reason,
      covered: covered.map(toRange),
    },
  ];
}

function toTokens(message: GetContextWindowResponse["tokens"]): WindowTokens {
  return {
    total: message?.total ?? 0,
    instructions: message?.instructions ?? 0,
    tools: message?.tools ?? 0,
    protected: message?.protected ?? 0,
    summary: message?.summary ?? 0,
    toolResults: message?.toolResults ?? 0,
    recent: message?.recent ?? 0,
    overhead: message?.overhead ?? 0,
  };
}

function toGroup(group: GroupMessage): GroupExplanation {
  const { firstRevision, lastRevision, treatment, reason, tokens } = group;
  return { firstRevision, lastRevision, treatment: wordFor(treatments, treatment), reason, tokens };
}

/** A range without what the contract's messages carry beside their fields. */
export function toRange({ first, last }: RevisionRange): RevisionRange {
  return { first, last };
}
