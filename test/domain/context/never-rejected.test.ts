import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { WorkerTokenCounter } from "../../../src/domain/tokens/worker-counter.ts";
import { eventsOf, loadConversations } from "../../support/conversations.ts";
import { openTestDomain } from "../../support/domain.ts";
import { logs } from "./logs/log.ts";
import { policies } from "./logs/policies.ts";
import { Trials } from "./logs/trials.ts";
import { type DialectName, validators } from "./validators/validators.ts";

/** Everything against everything takes minutes; without it a part that moves along is taken. */
const { SESSIOND_FULL } = process.env;
const isFull = SESSIOND_FULL === "1";

const dialects = Object.keys(validators) as DialectName[];
const counter = new WorkerTokenCounter({ log: { warn: () => {} } });
afterAll(() => counter.close());

describe("Never rejected: a window obeys the rules of its provider and fits", () => {
  it("over every beginning of real runs, within small and large budgets", async () => {
    await using domain = await openTestDomain({ tokens: counter });
    const { conversations, source } = loadConversations();
    const budgets = [300, 1_000, 1_500, 2_000, 3_000, 8_000];
    const asks = dialects.flatMap((dialect) => budgets.map((beyond) => ({ dialect, beyond })));
    const trials = new Trials(domain, { resultTokens: 40, labelTokens: 0 });
    let prefixes = 0;
    for (const { sessionId, systemInstructions, messages } of conversations) {
      const [instructions] = await counter.count([systemInstructions], "o200k_base");
      const instructionTokens = instructions?.count ?? 0;
      await domain.create({ session: { sessionId, systemInstructions } });
      for (const event of messages.flatMap((message) => eventsOf(message))) {
        await domain.append({ sessionId, events: [event] });
        await domain.settled();
        prefixes++;
        const chosen = asks.filter((_, index) => isFull || (index + 7 * prefixes) % 24 < 2);
        for (const { dialect, beyond } of chosen) {
          const tokenBudget = instructionTokens + beyond;
          await trials.ask({ sessionId, instructionTokens, tokenBudget, dialect });
        }
      }
    }
    report(`${prefixes} beginnings (${source})`, trials);
    expect(trials.faults.slice(0, 10)).toEqual([]);
    expect(trials.windows).toBeGreaterThan(prefixes);
  }, 600_000);

  it("over logs that only agents write", async () => {
    const budgets = [300, 900, 2_000, 5_000, 20_000];
    const tally = { windows: 0, tooLong: 0, tooLongByAdditions: 0, protectedTooLong: 0 };
    const property = fc.asyncProperty(
      logs({ minLength: 4, maxLength: 40 }),
      policies,
      fc.nat(),
      async (appends, contextPolicy, seed) => {
        await using domain = await openTestDomain();
        const trials = new Trials(domain, { resultTokens: 480, labelTokens: 100 });
        const sessionId = "s";
        const systemInstructions = seed % 2 === 0 ? "Be kind." : "";
        await domain.create({ session: { sessionId, systemInstructions, contextPolicy } });
        const instructionTokens = systemInstructions.length;
        const ask = { sessionId, instructionTokens };
        let turn = seed;
        for (const { passMs, events } of appends) {
          domain.now += passMs;
          await domain.append({ sessionId, events: [...events] });
          await domain.settled();
          turn++;
          for (const dialect of dialects) {
            const tokenBudget = budgets[turn++ % budgets.length] ?? 300;
            const agent = turn % 3 === 0 ? "planner" : "";
            const query = turn % 4 === 0 ? "lorem ipsum call" : "";
            await trials.ask({ ...ask, dialect, tokenBudget, over: { agent, query } });
          }
        }
        for (const name of Object.keys(tally) as (keyof typeof tally)[])
          tally[name] += trials[name];
        expect(trials.faults.slice(0, 3)).toEqual([]);
      },
    );
    await fc.assert(property, { numRuns: isFull ? 2_000 : 100 });
    report("generated logs", tally);
  }, 600_000);
});

type Tally = Pick<Trials, "windows" | "tooLong" | "tooLongByAdditions" | "protectedTooLong">;

function report(what: string, tally: Tally): void {
  const { windows, tooLong, tooLongByAdditions, protectedTooLong } = tally;
  const share = (count: number) => `${((100 * count) / windows).toFixed(1)} %`;
  process.stdout.write(
    `${what}: ${windows} windows, ${share(tooLong)} are CONTEXT_TOO_LONG ` +
      `(${share(tooLongByAdditions)} by what the dialect adds), ` +
      `${share(protectedTooLong)} PROTECTED_BUDGET_EXCEEDED\n`,
  );
}
