import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EventSchema, Role, TokenAccuracy, type TokenCount } from "@sessiond/contract";
import { type ContextState, ContextStateSchema } from "@sessiond/contract/store";
import { describe, expect, test } from "vitest";
import { tokenCount } from "../../../src/domain/tokens/encodings.ts";
import { learn, learnedFactor, reportedCount } from "../../../src/domain/tokens/reported.ts";

type EventInit = MessageInitShape<typeof EventSchema>;

const encoding = "o200k_base";
const said = {
  role: Role.ASSISTANT,
  payload: { case: "message", value: { text: "Hello." } },
} as const;

function answer(outputTokens: number, { role = Role.ASSISTANT, reasoningTokens = 0 } = {}) {
  return create(EventSchema, { ...said, role, usage: { outputTokens, reasoningTokens } });
}

function own(count: number): TokenCount {
  return tokenCount({ count, encoding, estimated: true });
}

function state(counted: number, reported: number): ContextState {
  return create(ContextStateSchema, {
    countedOutputTokens: counted,
    reportedOutputTokens: reported,
  });
}

describe("the reported count of an event", () => {
  test("is the output without the reasoning", () => {
    expect(reportedCount(answer(50), own(70))).toMatchObject({
      count: 50,
      encoding,
      accuracy: TokenAccuracy.REPORTED,
    });
    expect(reportedCount(answer(60, { reasoningTokens: 20 }), own(70))?.count).toBe(40);
  });

  test("is not believed when it is less than half or more than twice of our own", () => {
    expect([34, 35, 140, 141].map((count) => reportedCount(answer(count), own(70))?.count)).toEqual(
      [undefined, 35, 140, undefined],
    );
  });

  test("never replaces an exact count", () => {
    const exact = tokenCount({ count: 70, encoding, estimated: false });
    expect(reportedCount(answer(50), exact)).toBeUndefined();
  });

  test.each<[string, EventInit]>([
    ["without usage", { ...said }],
    ["with nothing reported", { ...said, usage: { inputTokens: 100 } }],
    ["with nothing but reasoning", { ...said, usage: { outputTokens: 5, reasoningTokens: 5 } }],
    [
      "with more reasoning than output",
      { ...said, usage: { outputTokens: 5, reasoningTokens: 9 } },
    ],
    ["of a user", { ...said, role: Role.USER, usage: { outputTokens: 50 } }],
    [
      "of a tool",
      {
        payload: { case: "toolResult", value: { callId: "c", content: "x" } },
        usage: { outputTokens: 50 },
      },
    ],
    [
      "of thinking",
      { payload: { case: "thinking", value: { text: "Hm." } }, usage: { outputTokens: 50 } },
    ],
  ])("does not exist for one %s", (_, init) => {
    expect(reportedCount(create(EventSchema, init), own(70))).toBeUndefined();
  });
});

describe("the learned factor", () => {
  test("is what was reported for what was counted, once 200 tokens were", () => {
    expect(learnedFactor(state(200, 150))).toBe(0.75);
    expect(learnedFactor(state(1_000, 1_300))).toBe(1.3);
    expect(learnedFactor(state(199, 150))).toBe(1);
    expect(learnedFactor(undefined)).toBe(1);
  });

  test("stays between 0.5 and 2, whatever is reported", () => {
    expect(learnedFactor(state(1_000, 1))).toBe(0.5);
    expect(learnedFactor(state(1_000, 4_000_000_000))).toBe(2);
  });

  test("is learned from the model's answers alone", () => {
    const first = learn(undefined, answer(150), own(200));
    expect(first).toEqual({ counted: 200, reported: 150 });
    const second = learn(state(first.counted, first.reported), answer(60), own(100));
    expect(second).toEqual({ counted: 300, reported: 210 });
    const user = answer(60, { role: Role.USER });
    expect(learn(state(300, 210), user, own(100))).toEqual({ counted: 300, reported: 210 });
    expect(learn(state(300, 210), answer(60), own(0))).toEqual({ counted: 300, reported: 210 });
  });

  test("keeps to sums that can be stored", () => {
    const most = 0xffff_ffff;
    const before = { counted: 300, reported: 210 };
    expect(learn(state(300, 210), answer(most), own(most))).toEqual(before);
    expect(learn(state(most, most), answer(1), own(1))).toEqual({ counted: most, reported: most });
    expect(learn(state(0, 0), answer(most), own(most))).toEqual({ counted: most, reported: most });
  });
});
