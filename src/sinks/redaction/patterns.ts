import type { JsonValue } from "@bufbuild/protobuf";
import { RE2JS, RE2JSException } from "re2js";
import { limits } from "../../limits.ts";
import { parsedJson } from "./json-text.ts";
import { redacted } from "./redacted.ts";

/** A pattern that cannot be used; the message follows its place in the configuration. */
export class PatternError extends Error {}

/** A text to look through. One of a value without fixed form is JSON, and stays so. */
export interface Text {
  readonly text: string;
  readonly isJson: boolean;
}

/** JSON in texts of JSON that is looked into. */
const maxLevels = 4;

/** Replaces what the patterns find. */
export type RedactText = (text: Text) => string;

/**
 * Compiles patterns in the syntax of RE2 (https://github.com/google/re2/wiki/Syntax): regular expressions
 * whose time grows with the length of a text only, whatever text and pattern are. They have no
 * back-references and nothing that looks around. `(?i)` in front ignores case.
 *
 * In a text that is JSON the keys, texts and numbers are looked at as what they say, not as they are
 * written, since an escape in front of a number would hide it; then the text as it stands, too.
 *
 * Errors: PatternError.
 */
export function compilePatterns(patterns: readonly string[]): RedactText {
  const compiled = patterns.map(compilePattern);
  const plain = (text: string) =>
    compiled.reduce((before, pattern) => pattern.matcher(before).replaceAll(redacted), text);
  const look = ({ text, isJson }: Text, levels: number): string => {
    const json = levels > 0 ? parsedJson(text) : undefined;
    if (json === undefined) return plain(text);
    const clean = inJson(json, (inner) => look({ text: inner, isJson: false }, levels - 1));
    const result = clean === json ? text : JSON.stringify(clean);
    return isJson ? result : plain(result);
  };
  return (text) => look(text, maxLevels);
}

/** Errors: PatternError. */
export function compilePattern(pattern: string): RE2JS {
  if (pattern.length > limits.sinkPatternLength) {
    throw new PatternError(`has more than ${limits.sinkPatternLength} characters`);
  }
  const compiled = parse(pattern);
  // The time for one character of a text grows with it.
  if (compiled.programSize() > limits.sinkPatternSize) {
    throw new PatternError("takes too long for each character; repeat fewer things fewer times");
  }
  if (compiled.test("")) {
    throw new PatternError(
      "also matches where there is nothing; it must match at least a character",
    );
  }
  return compiled;
}

function parse(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw new PatternError(
      `is no pattern: ${error.message.replace(/^error parsing regexp: /, "")}`,
    );
  }
}

/** The same value when nothing was found in it. */
function inJson(json: JsonValue, plain: (text: string) => string): JsonValue {
  if (typeof json === "string") return plain(json);
  if (typeof json === "number") {
    const text = String(json);
    const clean = plain(text);
    return clean === text ? json : clean;
  }
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) {
    const clean = json.map((member) => inJson(member, plain));
    return clean.every((member, index) => member === json[index]) ? json : clean;
  }
  let isSame = true;
  const names = new Set<string>();
  const clean = Object.entries(json).map(([key, member]) => {
    const value = inJson(member, plain);
    const name = unused(plain(key), names);
    isSame &&= name === key && value === member;
    return [name, value];
  });
  return isSame ? json : (Object.fromEntries(clean) as JsonValue);
}

/** A key that no other has: what was replaced may be alike. */
function unused(key: string, names: Set<string>): string {
  let name = key;
  for (let n = 2; names.has(name); n++) name = `${key} ${n}`;
  names.add(name);
  return name;
}
