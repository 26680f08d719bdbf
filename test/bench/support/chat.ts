import { Role } from "@sessiond/contract";
import { factKinds, fullName } from "../../eval/facts.ts";
import { madeUpName, paragraph, people, smallTalk } from "../../eval/vocabulary.ts";
import { type Random, randomOf } from "../../robustness/random.ts";
import type { EventInit } from "./messages.ts";

/** How turns are made, in sentences of about 14 tokens. The defaults give 100 tokens an event. */
export interface ChatShape {
  /** Sentences of an answer. Default 8 to 16. */
  readonly answer?: readonly [least: number, most: number];
  /** Share of the turns in which a tool is called. Default 0.2. */
  readonly tools?: number;
  /** Lines of a tool's result. Default 6 to 16. */
  readonly result?: readonly [least: number, most: number];
}

/** Questions that are kept to be asked, of the newest facts. */
const maxQuestions = 64;

/** An endless chat of a user with an agent that calls tools, the same for the same seed. */
export class Chat {
  /** Questions whose answers were said, word by word. */
  readonly questions: string[] = [];
  readonly #random: Random;
  readonly #names: readonly string[];
  readonly #shape: Required<ChatShape>;
  #turns = 0;

  constructor(seed: number, { answer = [8, 16], tools = 0.2, result = [6, 16] }: ChatShape = {}) {
    this.#random = randomOf(seed);
    this.#names = Array.from({ length: 20 }, () => madeUpName(this.#random));
    this.#shape = { answer, tools, result };
  }

  /** The next turn: a question, now and then a call and its result, an answer. */
  turn(): EventInit[] {
    const { answer, tools, result } = this.#shape;
    const question = this.#turns++ % 10 === 5 ? this.#fact() : this.#sentences(2, 4);
    const called = this.#random.chance(tools) ? this.#call(result) : [];
    return [
      { role: Role.USER, payload: { case: "message", value: { text: question } } },
      ...called,
      {
        role: Role.ASSISTANT,
        author: "assistant",
        payload: { case: "message", value: { text: this.#sentences(...answer) } },
      },
    ];
  }

  #call(result: readonly [number, number]): EventInit[] {
    const callId = `call_${this.#turns}`;
    const query = { about: madeUpName(this.#random), from: this.#random.pick(people) };
    const lines = this.#sentences(...result).replaceAll(". ", ".\n");
    return [
      toolCall({ callId, name: "read_notes", arguments: JSON.stringify(query) }),
      toolResult({ callId, content: lines }),
    ];
  }

  #fact(): string {
    const kind = this.#random.pick(factKinds);
    const subject = kind.about === "person" ? fullName(this.#random) : madeUpName(this.#random);
    const said = this.#random.pick(kind.said)(subject, kind.answer(this.#random));
    this.questions.push(kind.literal(subject));
    if (this.questions.length > maxQuestions) this.questions.shift();
    return `${said} ${smallTalk(this.#random, this.#names)}`;
  }

  #sentences(least: number, most: number): string {
    return paragraph(this.#random, this.#names, this.#random.between(least, most));
  }
}

export function toolCall(value: { callId: string; name: string; arguments: string }): EventInit {
  return { role: Role.ASSISTANT, author: "assistant", payload: { case: "toolCall", value } };
}

export function toolResult(value: { callId: string; content: string }): EventInit {
  return { role: Role.TOOL, payload: { case: "toolResult", value } };
}

/** What the chat's agent is told: some 150 tokens. */
export const systemInstructions = [
  "You help a small team to keep an overview of its projects, customers and dates.",
  "Answer briefly and name where you found what you say. Call read_notes before you guess.",
  "Never promise a date or an amount on behalf of the team. Ask when two notes contradict.",
  "Write in the language of the question. Lists have at most seven lines.",
].join("\n");
