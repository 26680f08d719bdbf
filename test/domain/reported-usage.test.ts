import { Role, TokenAccuracy } from "@sessiond/contract";
import { expect, test } from "vitest";
import { openTestDomain, userText } from "../support/domain.ts";

const sessionId = "s";

/** What the model said, with what its provider says it took. */
function answer(text: string, outputTokens?: number) {
  return {
    role: Role.ASSISTANT,
    payload: { case: "message", value: { text } },
    ...(outputTokens !== undefined && { usage: { outputTokens } }),
  } as const;
}

test("counts of a model without a public tokenizer follow what its provider reports", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId, model: "claude-sonnet" } });
  const first = await domain.append({ sessionId, events: [answer("x".repeat(400), 280)] });
  // The report stands for the answer itself; the character counter says 400, times 1.4.
  expect(first.events[0]?.tokens).toMatchObject({
    count: 280,
    accuracy: TokenAccuracy.REPORTED,
  });
  // From then on half is believed: 280 of 560.
  const next = await domain.append({ sessionId, events: [userText("y".repeat(100))] });
  expect(next.events[0]?.tokens).toMatchObject({ count: 70, accuracy: TokenAccuracy.ESTIMATED });
});

test("counts of a model with a public tokenizer stay what they are", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId, model: "gpt-4o" } });
  const { events } = await domain.append({ sessionId, events: [answer("x".repeat(400), 280)] });
  expect(events[0]?.tokens).toMatchObject({ count: 400, accuracy: TokenAccuracy.EXACT });
});

test.each([1, 1_000_000, 0xffff_ffff])(
  "a report of %d tokens, which cannot be of the answer, changes no count",
  async (outputTokens) => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, model: "claude-sonnet" } });
    const { events, contextUsage } = await domain.append({
      sessionId,
      events: [answer("x".repeat(400), outputTokens), answer("y".repeat(400))],
    });
    expect(events.map(({ tokens }) => tokens?.count)).toEqual([560, 560]);
    expect(contextUsage?.windowTokens).toBe(1_120);
  },
);

test("a window for a model with a public tokenizer is counted with it, whatever was reported", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId, model: "claude-sonnet" } });
  await domain.append({ sessionId, events: [answer("x".repeat(400), 280)] });
  const { tokens, accuracy } = await domain.window({ sessionId, model: "gpt-4o" });
  expect(tokens?.total).toBe(400);
  expect(accuracy).toBe(TokenAccuracy.EXACT);
});
