import { create } from "@bufbuild/protobuf";
import { CreateSessionRequestSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { openTestDomain, userText } from "../../support/domain.ts";
import { refusalsOf } from "../context/logs/trials.ts";
import { type DialectName, validators } from "../context/validators/validators.ts";
import { cancel, reopen, thinking, toolCall, toolResult } from "./support.ts";

const dialects = Object.keys(validators) as DialectName[];

/** A run of an agent that calls tools side by side, gets results late, and asks for approval. */
const run = [
  userText("compare the two papers"),
  thinking("I need both"),
  toolCall("a"),
  toolCall("b"),
  toolResult("b"),
  toolResult("a"),
  { role: 3, payload: { case: "message", value: { text: "one more look" } } } as const,
  toolCall("c"),
  {
    payload: { case: "toolResult", value: { callId: "c", content: "…", isFinal: false } },
  } as const,
  {
    payload: { case: "approvalRequest", value: { approvalId: "p", callId: "c", prompt: "may I?" } },
  } as const,
  { payload: { case: "approvalResponse", value: { approvalId: "p", approved: true } } } as const,
  toolResult("c"),
  toolCall("d"),
  toolCall("d"),
  userText("hurry up"),
  toolResult("d"),
  { role: 3, payload: { case: "message", value: { text: "they agree" } } } as const,
] as const;

test.each(run.map((_, index) => index + 1))(
  "Never rejected: cancelled after event %i of a run, the window is legal, and so is the next turn's",
  async (length) => {
    await using domain = await openTestDomain();
    const sessionId = "demo";
    await domain.sessions.create(create(CreateSessionRequestSchema, { session: { sessionId } }));
    for (const event of run.slice(0, length)) await domain.append({ sessionId, events: [event] });
    await cancel(domain, { reason: "stop" });
    const check = async () => {
      for (const name of dialects) {
        const { dialect } = validators[name];
        const window = await domain.window({ sessionId, dialect, tokenBudget: 4_000 });
        expect(refusalsOf(window, name), `${name} after ${length}`).toEqual([]);
      }
    };
    await check();
    const log = await domain.log(sessionId);
    const open = log.filter(({ payload }) => payload.case === "toolCall").map((e) => e.revision);
    const answered = log.flatMap(({ payload, callRevision }) =>
      payload.case === "toolResult" && payload.value.isFinal !== false ? [callRevision] : [],
    );
    expect(answered.filter((revision) => revision !== 0).sort()).toEqual(open.sort());
    await reopen(domain);
    await domain.append({ sessionId, events: [userText("go on")] });
    await check();
  },
);
