import type { Conversation, Question } from "./conversation.ts";
import { placeOf } from "./conversation.ts";
import type { Compactions } from "./eval-session.ts";
import type { Strategy } from "./options.ts";
import { comparable, type Shown } from "./shown.ts";

/** Which questions a share is of. */
export interface Setting {
  readonly strategy: Strategy;
  readonly budget: number;
  /** Compactions the session had before. */
  readonly compactions: Compactions;
  readonly kind: Question["kind"];
}

/** How often what a question needs was in the window. */
export interface Share extends Setting {
  questions: number;
  /** Questions of which every message of evidence was in the window whole. */
  evidenceIn: number;
  /** Questions whose answer is known. */
  answers: number;
  /** Of these, questions whose answer was in the window's text. */
  answersIn: number;
}

/** Counts over all conversations. */
export class Shares {
  readonly #shares = new Map<string, Share>();

  add(
    setting: Omit<Setting, "kind">,
    asked: {
      readonly conversation: Conversation;
      readonly question: Question;
      /** Revisions of the events that each message became. */
      readonly revisions: readonly (readonly number[])[];
      /** Undefined: the window could not be built. */
      readonly shown: Shown | undefined;
    },
  ): void {
    const { conversation, question, revisions, shown } = asked;
    const share = this.#share({ ...setting, kind: question.kind });
    share.questions += 1;
    const needed = question.evidence.flatMap(
      (name) => revisions[placeOf(conversation, name)] ?? [],
    );
    if (needed.every((revision) => shown?.revisions.has(revision) === true)) share.evidenceIn += 1;
    const answer = comparable(question.answer ?? "");
    if (answer === "") return;
    share.answers += 1;
    if (shown?.text.includes(answer)) share.answersIn += 1;
  }

  /** In the order in which they were first added to. */
  all(): Share[] {
    return [...this.#shares.values()];
  }

  #share(setting: Setting): Share {
    const name = JSON.stringify(setting);
    const share = this.#shares.get(name) ?? {
      ...setting,
      questions: 0,
      evidenceIn: 0,
      answers: 0,
      answersIn: 0,
    };
    this.#shares.set(name, share);
    return share;
  }
}
