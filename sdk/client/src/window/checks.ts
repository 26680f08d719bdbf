import { UsageError } from "../errors/client-errors.ts";

/** The largest number that the contract's fields hold. */
const largest = 0xffff_ffff;

/** The number, when a field of the contract can hold it. Errors: UsageError. */
export function wholeNumber(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= largest) return value;
  throw new UsageError(`${name} is ${value}; give a whole number from 0 to ${largest}`);
}

/** What a word stands for. Errors: UsageError for a word that is not in the table. */
export function meaningOf<Word extends string, Value>(
  name: string,
  { words, word }: { words: Readonly<Record<Word, Value>>; word: Word },
): Value {
  if (Object.hasOwn(words, word)) return words[word];
  throw new UsageError(`${name} is "${word}"; use one of ${Object.keys(words).join(", ")}`);
}
