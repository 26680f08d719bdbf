import type { History } from "../history.ts";
import { accounted } from "./accounted.ts";
import { atomic } from "./atomic.ts";
import { durable } from "./durable.ts";
import { durableBeforeVisible } from "./durable-before-visible.ts";
import { gapless } from "./gapless.ts";
import { idempotent } from "./idempotent.ts";
import { ordered } from "./ordered.ts";
import { resumable } from "./resumable.ts";
import { unique } from "./unique.ts";

/** Says in sentences where a history breaks a promise. */
export type Validator = (history: History) => Iterable<string>;

/** Every promise about logs and streams, by its word. */
export const validators = {
  Durable: durable,
  "Durable before visible": durableBeforeVisible,
  Ordered: ordered,
  Unique: unique,
  Gapless: gapless,
  Atomic: atomic,
  Idempotent: idempotent,
  Resumable: resumable,
  Accounted: accounted,
} as const satisfies Record<string, Validator>;

export type PromiseWord = keyof typeof validators;

export interface Violation {
  readonly promise: PromiseWord;
  readonly what: string;
}

/** Holds a history against every promise. */
export function violationsOf(history: History): Violation[] {
  const words = Object.keys(validators) as PromiseWord[];
  return words.flatMap((promise) =>
    Array.from(validators[promise](history), (what) => ({ promise, what })),
  );
}
