import type { JsonObject } from "@bufbuild/protobuf";
import { placeholders } from "./pieces.ts";

/** Who speaks, where providers know two sides. */
export type Side = "user" | "model";

/** What one side says until the other speaks. */
export interface Turn {
  readonly side: Side;
  readonly blocks: JsonObject[];
  /** Nothing may be added to it. */
  isClosed: boolean;
}

/**
 * A conversation in which two sides take turns, as Anthropic and Gemini want it: what one side says
 * in a row becomes one turn, and it begins and ends with the user.
 */
export class Turns {
  readonly #turns: Turn[] = [];
  readonly #toBlock: (text: string) => JsonObject;

  /** Takes how a text becomes a block. */
  constructor(toBlock: (text: string) => JsonObject) {
    this.#toBlock = toBlock;
  }

  /** The side that spoke last; undefined before anybody did. */
  get last(): Side | undefined {
    return this.#turns.at(-1)?.side;
  }

  /** Lets a side say something; nothing when there are no blocks. */
  add(side: Side, blocks: readonly JsonObject[]): void {
    if (blocks.length === 0) return;
    const last = this.#turns.at(-1);
    if (last?.side === side && !last.isClosed) {
      last.blocks.push(...blocks);
      return;
    }
    if (last?.side === side) this.say(otherSide(side), placeholders.unanswered);
    this.#turns.push({ side, blocks: [...blocks], isClosed: false });
  }

  /** Keeps the newest turn as it is: if the same side says more, the other speaks in between. */
  close(): void {
    const last = this.#turns.at(-1);
    if (last !== undefined) last.isClosed = true;
  }

  /** Lets a side say a text. */
  say(side: Side, text: string): void {
    this.add(side, [this.#toBlock(text)]);
  }

  /** The turns, with the user's first and last word where they are missing. */
  finish(): Turn[] {
    if (this.last === "model") this.say("user", placeholders.closing);
    if (this.#turns[0]?.side === "user") return this.#turns;
    const opening = [this.#toBlock(placeholders.opening)];
    return [{ side: "user", blocks: opening, isClosed: true }, ...this.#turns];
  }
}

function otherSide(side: Side): Side {
  return side === "user" ? "model" : "user";
}
