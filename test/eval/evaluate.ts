import { WorkerTokenCounter } from "../../src/domain/tokens/worker-counter.ts";
import { openTestDomain, type TestDomain } from "../support/domain.ts";
import type { Conversation } from "./conversation.ts";
import { type Compactions, EvalSession } from "./eval-session.ts";
import type { Strategy } from "./options.ts";
import { Shares } from "./shares.ts";
import type { Shown } from "./shown.ts";

interface Wish {
  readonly budgets: readonly number[];
  readonly strategies: readonly Strategy[];
  readonly compactions: readonly number[];
}

/**
 * Measures how often what questions need is in the context window, over the real domain and
 * tokenizer in this process.
 *
 * Of the strategies, `tail` and `protected-tail` are measured without compactions, `extract` in a
 * session that compacts whenever it is due, and `query` in one that never did. Then `extract` and
 * `query` once more after each of the numbers of compactions.
 */
export class Evaluation implements AsyncDisposable {
  readonly shares = new Shares();
  readonly #wish: Wish;
  readonly #domain: TestDomain;
  readonly #tokens: WorkerTokenCounter;

  private constructor(wish: Wish, domain: TestDomain, tokens: WorkerTokenCounter) {
    this.#wish = wish;
    this.#domain = domain;
    this.#tokens = tokens;
  }

  static async open(wish: Wish): Promise<Evaluation> {
    const log = {
      warn: (_: unknown, message: string) => void process.stderr.write(`${message}\n`),
    };
    const tokens = new WorkerTokenCounter({ log });
    return new Evaluation(wish, await openTestDomain({ tokens }), tokens);
  }

  async add(conversation: Conversation): Promise<void> {
    const { budgets, strategies, compactions } = this.#wish;
    const uncompacted = strategies.filter((name) => name !== "extract");
    const chained = strategies.filter((name) => name === "extract" || name === "query");
    for (const budget of budgets) {
      const subject = { conversation, budget };
      await this.#measure({ ...subject, compactions: 0 }, uncompacted);
      if (strategies.includes("extract")) {
        await this.#measure({ ...subject, compactions: "due" }, ["extract"]);
      }
      for (const count of compactions)
        await this.#measure({ ...subject, compactions: count }, chained);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#domain[Symbol.asyncDispose]();
    await this.#tokens.close();
  }

  /** Asks all questions of a conversation, of a session that had some compactions. */
  async #measure(
    subject: { conversation: Conversation; budget: number; compactions: Compactions },
    strategies: readonly Strategy[],
  ): Promise<void> {
    const { conversation, budget, compactions } = subject;
    const session = await EvalSession.open(this.#domain, budget);
    await session.append(conversation, compactions);
    for (const strategy of strategies) {
      const setting = { strategy, budget, compactions };
      const same = strategy === "query" ? undefined : await show(session, strategy, budget);
      for (const question of conversation.questions) {
        const shown = strategy === "query" ? await session.window(budget, question.question) : same;
        const { revisions } = session;
        this.shares.add(setting, { conversation, question, revisions, shown });
      }
    }
  }
}

/** What a model would see whatever is asked. */
async function show(
  session: EvalSession,
  strategy: Exclude<Strategy, "query">,
  budget: number,
): Promise<Shown | undefined> {
  return strategy === "tail" ? session.tail(budget) : session.window(budget);
}
