import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseConversation } from "./conversation.ts";
import { Evaluation } from "./evaluate.ts";
import { generateConversation } from "./generate.ts";
import { parseOptions } from "./options.ts";
import type { Share } from "./shares.ts";

const example = readFileSync(new URL("example.jsonl", import.meta.url), "utf8").trim();

function share(shares: readonly Share[], wanted: Partial<Share>): number {
  const found = shares.filter((share) =>
    Object.entries(wanted).every(([name, value]) => share[name as keyof Share] === value),
  );
  const sum = (name: "evidenceIn" | "questions") =>
    found.reduce((total, share) => total + share[name], 0);
  return sum("evidenceIn") / sum("questions");
}

test("Retention: a query finds literally what the newest events no longer hold", async () => {
  const strategies = ["tail", "query"] as const;
  await using evaluation = await Evaluation.open({ budgets: [1_000], strategies, compactions: [] });
  await evaluation.add(parseConversation(example));
  const shares = evaluation.shares.all();
  expect(share(shares, { strategy: "tail", kind: "literal" })).toBeLessThan(0.5);
  expect(share(shares, { strategy: "query", kind: "literal" })).toBeGreaterThanOrEqual(0.9);
  expect(share(shares, { strategy: "query", kind: "paraphrased" })).toBeGreaterThan(
    share(shares, { strategy: "tail", kind: "paraphrased" }),
  );
});

test("Retention: planted facts are found by a query in 2,000 of 30,000 tokens", async () => {
  const strategies = ["query"] as const;
  await using evaluation = await Evaluation.open({ budgets: [2_000], strategies, compactions: [] });
  await evaluation.add(generateConversation(11));
  expect(share(evaluation.shares.all(), { kind: "literal" })).toBeGreaterThanOrEqual(0.9);
});

test("an answer that stands in a summary counts as answer, not as evidence", async () => {
  const strategies = ["extract"] as const;
  await using evaluation = await Evaluation.open({ budgets: [600], strategies, compactions: [3] });
  await evaluation.add(parseConversation(example));
  const [share] = evaluation.shares.all().filter(({ compactions }) => compactions === 3);
  expect(share?.answersIn).toBeGreaterThan(share?.evidenceIn ?? 0);
});

test("the same seed gives the same conversation, another seed another", () => {
  const made = JSON.stringify(generateConversation(5));
  expect(JSON.stringify(generateConversation(5))).toBe(made);
  expect(JSON.stringify(generateConversation(6))).not.toBe(made);
});

test("a generated conversation can be read, and its evidence holds the answers", () => {
  const conversation = parseConversation(JSON.stringify(generateConversation(5)));
  expect(conversation.questions.length).toBeGreaterThan(50);
  for (const { evidence, answer = "" } of conversation.questions) {
    for (const place of evidence) expect(conversation.messages[place]?.content).toContain(answer);
  }
});

test("evidence names messages by place, or by revision where they have one", () => {
  const question = { question: "?", kind: "literal" };
  const line = (revisions: readonly number[], evidence: number) =>
    JSON.stringify({
      id: "x",
      messages: revisions.map((revision) => ({
        role: "user",
        content: "hi",
        ...(revision > 0 && { revision }),
      })),
      questions: [{ ...question, evidence: [evidence] }],
    });
  expect(parseConversation(line([0, 0], 1)).questions).toHaveLength(1);
  expect(() => parseConversation(line([0, 0], 2))).toThrow("evidence 2");
  expect(parseConversation(line([4, 9], 9)).questions).toHaveLength(1);
  expect(() => parseConversation(line([4, 9], 1))).toThrow("evidence 1");
});

test("a command line that makes no sense says why", () => {
  expect(() => parseOptions([])).toThrow("FILE");
  expect(() => parseOptions(["a", "--budgets", "many"])).toThrow('"many"');
  expect(() => parseOptions(["a", "--strategies", "luck"])).toThrow('"luck"');
  expect(parseOptions(["--generate", "3"])).toEqual({ generate: 3 });
});
