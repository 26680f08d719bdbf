import { create } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  CompactionStrategy,
  CreateSessionRequestSchema,
  GetSessionRequestSchema,
} from "@sessiond/contract";
import { Chat, type ChatShape, systemInstructions } from "../support/chat.ts";
import { median } from "../support/load.ts";
import type { Row } from "../support/report.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { type InProcess, openInProcess } from "./in-process.ts";

const rounds = 15;

interface Conversation {
  readonly what: string;
  readonly turns: number;
  readonly shape: ChatShape;
}

/** Some 160 tokens a turn. */
const plain: ChatShape = { answer: [5, 12], tools: 0 };
/** Every other turn reads notes of 1,400 tokens. */
const withTools: ChatShape = { answer: [5, 12], tools: 0.5, result: [80, 120] };

const conversations: readonly Conversation[] = [
  { what: "questions and answers", turns: 50, shape: plain },
  { what: "questions and answers", turns: 100, shape: plain },
  { what: "long tool results", turns: 50, shape: withTools },
  { what: "long tool results", turns: 100, shape: withTools },
];

/** Time of all compactions of one session, and what they did. */
interface Work {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly count: number;
  readonly longestMs: number;
  readonly sessionTokens: number;
  readonly tokensBefore: number;
  readonly tokensAfter: number;
}

/**
 * The work of all compactions of a session, strategy extract, budget 8,000, a turn an append: from
 * the decision that one is due until it is on disk, with the processor time of all threads. The
 * first session of each kind also pays for code that never ran before.
 */
export async function compactionRows(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const conversation of conversations) {
    await using data = await tempFolder();
    await using server = await openInProcess(data.path);
    const works: Work[] = [];
    for (let round = 0; round <= rounds; round++)
      works.push(await work(server, conversation, round));
    const [first, ...others] = works;
    const middle = (of: (work: Work) => number) => median(others.map(of));
    rows.push({
      conversation: `${conversation.turns} turns, ${conversation.what}`,
      tokens: middle(({ sessionTokens }) => sessionTokens),
      compactions: middle(({ count }) => count),
      "tokens before": middle(({ tokensBefore, count }) => Math.round(tokensBefore / count)),
      after: middle(({ tokensAfter, count }) => Math.round(tokensAfter / count)),
      "all ms": middle(({ wallMs }) => wallMs).toFixed(1),
      "CPU ms": middle(({ cpuMs }) => cpuMs).toFixed(1),
      "longest ms": middle(({ longestMs }) => longestMs).toFixed(1),
      "first session ms": first?.wallMs.toFixed(1) ?? "",
    });
  }
  return rows;
}

async function work(
  { domain }: InProcess,
  { turns, shape }: Conversation,
  seed: number,
): Promise<Work> {
  const { compactions } = domain;
  const wall: number[] = [];
  let cpuMs = 0;
  // A stopwatch around what the background calls.
  const own = compactions.compactByPolicy;
  compactions.compactByPolicy = async (...args) => {
    const startMs = performance.now();
    const before = process.cpuUsage();
    try {
      return await own.apply(compactions, args);
    } finally {
      const { user, system } = process.cpuUsage(before);
      cpuMs += (user + system) / 1_000;
      wall.push(performance.now() - startMs);
    }
  };
  const sessionId = `session ${seed}`;
  const contextPolicy = {
    tokenBudget: 8_000,
    compaction: { strategy: CompactionStrategy.EXTRACT },
  };
  const session = { sessionId, systemInstructions, contextPolicy };
  await domain.sessions.create(create(CreateSessionRequestSchema, { session }));
  const chat = new Chat(seed, shape);
  for (let turn = 0; turn < turns; turn++) {
    const request = { sessionId, events: chat.turn() };
    await domain.events.append(create(AppendEventsRequestSchema, request));
    await domain.settled();
  }
  compactions.compactByPolicy = own;
  const { metrics } = await domain.sessions.get(create(GetSessionRequestSchema, { sessionId }));
  return {
    wallMs: wall.reduce((sum, ms) => sum + ms, 0),
    cpuMs,
    count: metrics?.compactions?.count ?? 0,
    longestMs: Math.max(...wall),
    sessionTokens: metrics?.tokens?.total ?? 0,
    tokensBefore: metrics?.compactions?.tokensBefore ?? 0,
    tokensAfter: metrics?.compactions?.tokensAfter ?? 0,
  };
}
