import { fromBinary } from "@bufbuild/protobuf";
import { AppendEventsResponseSchema, EventService, SessionService } from "@sessiond/contract";
import { Chat, systemInstructions } from "../support/chat.ts";
import { appendBytes, createBytes, type EventInit } from "../support/messages.ts";
import { pathOf, type RawClient } from "../support/raw-client.ts";

const appendPath = pathOf(EventService.method.appendEvents);
const createPath = pathOf(SessionService.method.createSession);

/** Events of the sessions that are compared. */
export const sizes = [100, 1_000, 10_000, 100_000] as const;

/** How sessions compact: never, or by themselves at 95 % of 8,000 tokens. */
export const kinds = ["never compacted", "compacts by itself"] as const;
export type Kind = (typeof kinds)[number];

/** A session of the benchmark. */
export interface FilledSession {
  readonly sessionId: string;
  readonly kind: Kind;
  readonly size: number;
  /** Questions about its newest facts. */
  readonly questions: readonly string[];
}

const turnsPerAppend = { "never compacted": 100, "compacts by itself": 8 };
/** Turns behind the newest compaction, so that all sessions are at the same point between two. */
const turnsBehind = 10;

/** Fills one session of each kind and size. */
export async function fillSessions(client: RawClient): Promise<FilledSession[]> {
  const filled: FilledSession[] = [];
  for (const kind of kinds) {
    for (const size of sizes) filled.push(await fillSession(client, { kind, size }));
  }
  return filled;
}

async function fillSession(
  client: RawClient,
  { kind, size }: { kind: Kind; size: number },
): Promise<FilledSession> {
  const sessionId = `${kind} ${size}`;
  const manual = kind === "never compacted";
  const contextPolicy = { tokenBudget: 8_000, compaction: { manual } };
  await client.call(
    createPath,
    createBytes({ session: { sessionId, systemInstructions, contextPolicy } }),
  );
  const append = async (events: readonly EventInit[]) => {
    const answer = await client.call(appendPath, appendBytes({ sessionId, events: [...events] }));
    return fromBinary(AppendEventsResponseSchema, answer).contextUsage?.windowTokens ?? 0;
  };
  const chat = new Chat(size);
  let events = 1;
  for (let turn = chat.turn(); events + turn.length <= size; ) {
    const batch: EventInit[] = [];
    for (let turns = 0; turns < turnsPerAppend[kind]; turns++) {
      if (events + batch.length + turn.length > size) break;
      batch.push(...turn);
      turn = chat.turn();
    }
    await append(batch);
    events += batch.length;
  }
  if (kind === "compacts by itself") await goOnBehindCompaction(() => append(chat.turn()));
  return { sessionId, kind, size, questions: chat.questions };
}

/** Adds turns until the window became smaller, and a few more. */
async function goOnBehindCompaction(appendTurn: () => Promise<number>): Promise<void> {
  for (let before = 0, now = await appendTurn(); now >= before; ) {
    before = now;
    now = await appendTurn();
  }
  for (let turns = 0; turns < turnsBehind; turns++) await appendTurn();
}
