import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AmendToolCallRequestSchema,
  type Compaction,
  CompactionStrategy,
  CompactSessionRequestSchema,
  type ContextPolicySchema,
  DeleteSessionRequestSchema,
  EndSessionRequestSchema,
  type Event,
  EventSchema,
  type GetContextWindowResponse,
  RevertCompactionRequestSchema,
  Role,
  SetProtectionRequestSchema,
  SubmitSummaryRequestSchema,
  Treatment,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import type { EventInit } from "../../../support/conversations.ts";
import { type TestDomain, userText } from "../../../support/domain.ts";

export const sessionId = "s";

/** A token budget that shows everything, to look at a window as it is. */
export const everything = { sessionId, tokenBudget: 10_000_000 } as const;

export type PolicyInit = MessageInitShape<typeof ContextPolicySchema>;

/** Compaction only by hand. */
export const manual: PolicyInit = { compaction: { manual: true } };

export const drop = {
  compaction: { strategy: CompactionStrategy.DROP },
} as const satisfies PolicyInit;

export function assistantText(text: string, author = ""): EventInit {
  return { role: Role.ASSISTANT, author, payload: { case: "message", value: { text } } };
}

export function call(callId: string, text = "{}", author = ""): EventInit {
  return { author, payload: { case: "toolCall", value: { callId, name: "f", arguments: text } } };
}

export function result(callId: string, content = "found", isFinal = true): EventInit {
  return { payload: { case: "toolResult", value: { callId, content, isFinal } } };
}

export function thinking(text: string, author = ""): EventInit {
  return { author, payload: { case: "thinking", value: { text } } };
}

/** A text of so many tokens that says which one it is. */
export function text(tokens: number, name: number | string = ""): string {
  return `${name} `.padEnd(tokens, ". and so on ");
}

export async function open(domain: TestDomain, contextPolicy: PolicyInit = {}): Promise<void> {
  await domain.create({ session: { sessionId, contextPolicy } });
}

/** Appends events, each by itself, and waits for the compactions that they start. */
export async function say(domain: TestDomain, ...events: readonly EventInit[]): Promise<void> {
  await sayIn(domain, sessionId, events);
}

async function sayIn(domain: TestDomain, id: string, events: readonly EventInit[]): Promise<void> {
  for (const event of events) {
    await domain.append({ sessionId: id, events: [event] });
    await domain.settled();
  }
}

/** Turns of a user's and an assistant's message of so many tokens each. */
export async function talk(
  domain: TestDomain,
  args: { turns: number; tokens: number; from?: number; sessionId?: string },
): Promise<void> {
  const { turns, tokens, from = 0, sessionId: id = sessionId } = args;
  for (let turn = from; turn < from + turns; turn++) {
    await sayIn(domain, id, [userText(text(tokens, turn)), assistantText(text(tokens, turn))]);
  }
}

export function compact(
  domain: TestDomain,
  request: MessageInitShape<typeof CompactSessionRequestSchema> = {},
  signal: AbortSignal = new AbortController().signal,
) {
  return domain.compactions.compact(
    create(CompactSessionRequestSchema, { sessionId, ...request }),
    signal,
  );
}

export function revert(domain: TestDomain, compactionRevision = 0) {
  return domain.reverts.revert(
    create(RevertCompactionRequestSchema, { sessionId, compactionRevision }),
  );
}

export function submit(
  domain: TestDomain,
  request: MessageInitShape<typeof SubmitSummaryRequestSchema>,
) {
  return domain.compactions.submit(create(SubmitSummaryRequestSchema, { sessionId, ...request }));
}

export function protect(
  domain: TestDomain,
  revisions: number[],
  request: MessageInitShape<typeof SetProtectionRequestSchema> = {},
) {
  return domain.protections.set(
    create(SetProtectionRequestSchema, { sessionId, revisions, ...request }),
  );
}

export function amend(
  domain: TestDomain,
  revision: number,
  text: string,
  request: MessageInitShape<typeof AmendToolCallRequestSchema> = {},
) {
  return domain.amendments.amend(
    create(AmendToolCallRequestSchema, { sessionId, revision, arguments: text, ...request }),
  );
}

export function end(domain: TestDomain) {
  return domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
}

export function remove(domain: TestDomain) {
  return domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}

/** Gives the session another policy. */
export function usePolicy(domain: TestDomain, contextPolicy: PolicyInit) {
  return domain.sessions.update(
    create(UpdateSessionRequestSchema, {
      session: { sessionId, contextPolicy },
      updateMask: { paths: ["context_policy"] },
    }),
  );
}

/** The compactions of a session's log, oldest first. */
export async function compactionsOf(domain: TestDomain): Promise<Compaction[]> {
  const log = await domain.log(sessionId);
  return log.flatMap(({ payload }) => (payload.case === "compaction" ? [payload.value] : []));
}

/** The items of a window in bytes, to compare them one by one. */
export function bytesOf({ items }: GetContextWindowResponse): string[] {
  return items.map(({ event, treatment }) =>
    [treatment, event ? eventBytes(event) : "nothing"].join(" "),
  );
}

export function eventBytes(event: Event): string {
  return Buffer.from(toBinary(EventSchema, create(EventSchema, event))).toString("hex");
}

/** Revisions that a window shows. */
export function revisionsIn({ items }: GetContextWindowResponse): number[] {
  return items.flatMap(({ event }) => (event?.revision ? [event.revision] : []));
}

/** The text of the summary that a window shows; undefined: it shows none. */
export function summaryIn({ items }: GetContextWindowResponse): string | undefined {
  const item = items.find(({ treatment }) => treatment === Treatment.SUMMARISED);
  const payload = item?.event?.payload;
  return payload?.case === "message" ? payload.value.text : undefined;
}

/** The tokens that an append says the window has, and those that the window says. */
export async function usages(domain: TestDomain): Promise<{ usage: number; window: number }> {
  const window = await domain.window(everything);
  const session = await domain.store.getSession({ namespace: "default", sessionId });
  const { windowTokens = 0, context } = session?.head ?? {};
  const { instructionTokens = 0, toolTokens = 0 } = context ?? {};
  return {
    usage: windowTokens + instructionTokens + toolTokens,
    window: window.tokens?.total ?? 0,
  };
}
