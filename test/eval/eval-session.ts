import { create } from "@bufbuild/protobuf";
import {
  CompactionStrategy,
  CompactSessionRequestSchema,
  type Event,
  GetContextWindowRequestSchema,
} from "@sessiond/contract";
import { groupEvents } from "../../src/domain/context/groups.ts";
import { SessiondError } from "../../src/errors.ts";
import type { TestDomain } from "../support/domain.ts";
import { type Conversation, eventsOf, type Message } from "./conversation.ts";
import { type Shown, shownEvents, shownWindow } from "./shown.ts";

/** How many compactions a session has, at even distances; or one whenever it is due. */
export type Compactions = number | "due";

/** Appended at once, so that compactions come as they would in a conversation. */
const messagesPerAppend = 10;

/** A conversation in a session. */
export class EvalSession {
  readonly #domain: TestDomain;
  readonly #sessionId: string;
  /** Revisions of the events that each message became. */
  readonly revisions: number[][] = [];

  private constructor(domain: TestDomain, sessionId: string) {
    this.#domain = domain;
    this.#sessionId = sessionId;
  }

  /** An empty session whose windows have a budget, and that compacts when it is told to. */
  static async open(domain: TestDomain, tokenBudget: number): Promise<EvalSession> {
    const compaction = { strategy: CompactionStrategy.EXTRACT, manual: true };
    const session = await domain.create({
      session: { contextPolicy: { tokenBudget, compaction } },
    });
    return new EvalSession(domain, session.sessionId);
  }

  /** Appends a conversation. */
  async append({ messages }: Conversation, compactions: Compactions): Promise<void> {
    let done = 0;
    for (let from = 0; from < messages.length; from += messagesPerAppend) {
      const isDue = await this.#append(messages.slice(from, from + messagesPerAppend));
      // The last one comes before the end, so that there is something behind it.
      const share = this.revisions.length / messages.length;
      const wanted =
        compactions === "due"
          ? done + Number(isDue)
          : Math.min(compactions, Math.floor((compactions + 0.5) * share));
      for (; done < wanted; done++) await this.#compact();
    }
  }

  /** The newest groups that fit, as a program without a server would take them. */
  async tail(budget: number): Promise<Shown> {
    const shown: Event[] = [];
    let left = budget;
    for (const { events } of groupEvents(await this.#domain.log(this.#sessionId)).toReversed()) {
      for (const { tokens } of events) left -= tokens?.count ?? 0;
      if (left < 0) break;
      shown.push(...events);
    }
    return shownEvents(shown);
  }

  /** The window; undefined when what must stay is too long for it. */
  async window(tokenBudget: number, query = ""): Promise<Shown | undefined> {
    const fields = { sessionId: this.#sessionId, tokenBudget, query };
    const request = create(GetContextWindowRequestSchema, fields);
    try {
      let window = await this.#domain.windows.window(request);
      while (window.indexPartial) window = await this.#domain.windows.window(request);
      return shownWindow(window);
    } catch (error) {
      if (error instanceof SessiondError && error.reason === "CONTEXT_TOO_LONG") return undefined;
      throw error;
    }
  }

  async #append(messages: readonly Message[]): Promise<boolean> {
    const perMessage = messages.map(eventsOf);
    const { events, contextUsage } = await this.#domain.append({
      sessionId: this.#sessionId,
      events: perMessage.flat(),
    });
    let next = 0;
    for (const { length } of perMessage) {
      this.revisions.push(events.slice(next, next + length).map(({ revision }) => revision));
      next += length;
    }
    return (contextUsage?.ratio ?? 0) >= 0.95;
  }

  async #compact(): Promise<void> {
    const request = create(CompactSessionRequestSchema, { sessionId: this.#sessionId });
    await this.#domain.compactions.compact(request, new AbortController().signal);
  }
}
