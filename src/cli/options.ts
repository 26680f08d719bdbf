import { InvalidArgumentError } from "commander";
import { durationMs } from "./text/times.ts";

/** Parses an option as a whole number, 0 or more. */
export function count(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(value);
}

/** Parses an option as a number of something, 1 or more. */
export function positive(value: string): number {
  if (count(value) === 0) throw new InvalidArgumentError("It must be 1 or more.");
  return Number(value);
}

/** Parses an option as a revision: a whole number from 1. */
export function revision(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) {
    throw new InvalidArgumentError("It must be a revision, a whole number from 1.");
  }
  return Number(value);
}

/** Parses an option as a length of time, in milliseconds. */
export function duration(value: string): number {
  const ms = durationMs(value);
  if (ms === undefined) {
    throw new InvalidArgumentError("It must be a duration such as 30s, 10m, 2h or 7d.");
  }
  return ms;
}

/** Parses an option as a number from 0 to 1. */
export function share(value: string): number {
  if (!/^(0(\.\d+)?|1(\.0+)?|\.\d+)$/.test(value)) {
    throw new InvalidArgumentError("It must be a number from 0 to 1, such as 0.5.");
  }
  return Number(value);
}

/** Collects the values of an option that may be given more than once. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Collects `key=value`. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be key=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
