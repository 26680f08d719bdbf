import { create } from "@bufbuild/protobuf";
import {
  CountTokensRequestSchema,
  type Dialect,
  type Event,
  EventSchema,
  Role,
} from "@sessiond/contract";
import type { TestDomain } from "../../../support/domain.ts";

/** Tokens that no window of a log can do without. */
export interface LowerBound {
  /** Of the events themselves, by the counts they carry, and of the instructions. */
  readonly tokens: number;
  /** What the dialect adds to them, as CountTokens says, and what is made for open calls. */
  readonly additions: number;
}

/** Sizes of what a window makes itself; as large as it may be. */
export interface MadeSizes {
  /** The result of a call that has none. */
  readonly resultTokens: number;
  /** The label of a note, and of what another agent said. */
  readonly labelTokens: number;
}

/**
 * The least a window of a log can have: the instructions, and the groups of the first user message
 * and what else is protected, of the user's message of the current turn, of the calls of that turn
 * that are open, and the newest one. It knows nothing of how windows are built.
 */
export async function lowerBound(
  domain: TestDomain,
  log: readonly Event[],
  args: { instructionTokens: number; dialect: Dialect; agent: string; made: MadeSizes },
): Promise<LowerBound> {
  const { instructionTokens, dialect, agent, made } = args;
  const stays = whatMustStay(log);
  const tokens = stays.reduce((sum, event) => sum + (event.tokens?.count ?? 0), instructionTokens);
  const unanswered = stays.filter(
    (event) => isCall(event) && !finalResults(log).has(event.revision),
  );
  const results = unanswered.map(({ payload }) => {
    const callId = payload.case === "toolCall" ? payload.value.callId : "";
    return create(EventSchema, { payload: { case: "toolResult", value: { callId, content: "" } } });
  });
  const labelled = stays.filter(
    ({ author, payload }) => payload.case === "custom" || (agent !== "" && author !== agent),
  );
  const events = [...stays, ...results].map(({ author, role, payload }) =>
    create(EventSchema, { author, role, payload }),
  );
  if (instructionTokens > 0) {
    const value = { text: "" };
    events.push(create(EventSchema, { role: Role.SYSTEM, payload: { case: "message", value } }));
  }
  const request = create(CountTokensRequestSchema, { dialect, events });
  const { overhead } = await domain.counting.count(request);
  const ofMade = results.length * made.resultTokens + labelled.length * made.labelTokens;
  return { tokens, additions: overhead + ofMade };
}

function whatMustStay(log: readonly Event[]): Event[] {
  const turn = log.findLast(isUserMessage)?.revision ?? 0;
  // A protected note is shown, and is nobody's answer.
  const spoken = log.filter(({ payload }) => payload.case !== "custom");
  const newestGroup = Math.max(0, ...spoken.map(({ group }) => group));
  const closed = finalResults(log);
  const first = log.find(isUserMessage)?.revision;
  const groups = log
    .filter(
      (event) =>
        event.revision === first ||
        event.revision === turn ||
        event.protection !== undefined ||
        event.group === newestGroup ||
        (isCall(event) && event.revision > turn && !closed.has(event.revision)),
    )
    .map(({ group }) => group);
  return log.filter(({ group }) => group !== 0 && groups.includes(group));
}

/** Tokens of protected events that have a share of the budget to keep to. */
export function protectedTokens(log: readonly Event[]): number {
  const first = log.find(isUserMessage)?.revision;
  return log
    .filter(({ protection, revision }) => protection !== undefined && revision !== first)
    .reduce((sum, { tokens }) => sum + (tokens?.count ?? 0), 0);
}

function isUserMessage({ payload, role }: Event): boolean {
  return payload.case === "message" && role === Role.USER;
}

function isCall({ payload }: Event): boolean {
  return payload.case === "toolCall";
}

/** Revisions of the calls that have their result. */
function finalResults(log: readonly Event[]): ReadonlySet<number> {
  const results = log.filter(
    ({ payload }) => payload.case === "toolResult" && (payload.value.isFinal ?? true),
  );
  return new Set(results.map(({ callRevision }) => callRevision));
}
