import type { Value } from "@bufbuild/protobuf/wkt";
import { limits } from "../../limits.ts";
import type { FieldRule } from "./rules.ts";

/** Takes note of one field that is wrong: its path and what to do about it. */
export type Report = (field: string, description: string) => void;

/** Checks a text: well-formed Unicode, size, form. NUL and every other character may stand in it. */
export function checkText(text: string, rule: FieldRule, path: string, report: Report): void {
  if (!text.isWellFormed()) {
    report(path, "has half of a surrogate pair, which UTF-8 cannot carry");
    return;
  }
  const { maxBytes, oneOf, pattern } = rule;
  if (maxBytes !== undefined) {
    // A UTF-16 unit takes at most 3 bytes, so most texts need no exact measure.
    const bytes = text.length * 3 <= maxBytes ? 0 : Buffer.byteLength(text);
    if (bytes > maxBytes) {
      report(path, `has ${bytes} bytes, the limit is ${maxBytes}`);
      return;
    }
  }
  if (pattern !== undefined && !pattern.regexp.test(text)) report(path, `must be ${pattern.words}`);
  if (oneOf !== undefined && !oneOf.includes(text)) report(path, `must be one of ${oneOf.join(", ")}`);
}

/** NaN and the infinities have no JSON form in a Struct, and order and add badly elsewhere. */
export function checkFinite(value: number, path: string, report: Report): void {
  if (!Number.isFinite(value)) report(path, "must be a finite number");
}

/** A JSON value in the form protobuf gives it (Value, ListValue) or plain (inside a Struct). */
interface Node {
  readonly value: unknown;
  readonly depth: number;
  readonly plain: boolean;
}

/**
 * Checks the content of a google.protobuf.Struct (plain) or google.protobuf.Value (a message).
 *
 * Iterative, so that depth costs no stack: anything deeper than the limit is refused.
 */
export function checkJson(
  root: Omit<Node, "depth">,
  maxBytes: number | undefined,
  path: string,
  report: Report,
): void {
  let bytes = 0;
  const open: Node[] = [{ ...root, depth: 0 }];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const { value, depth, plain } = node.plain ? node : unwrap(node);
    bytes += 8;
    if (value === undefined) {
      report(path, "has a value of no kind; use null for null");
      return;
    }
    if (depth > limits.structDepth) {
      report(path, `is nested deeper than ${limits.structDepth} levels`);
      return;
    }
    if (typeof value === "string") {
      if (!checkPiece(value, path, report)) return;
      bytes += Buffer.byteLength(value);
    } else if (typeof value === "number") {
      checkFinite(value, path, report);
    } else if (Array.isArray(value)) {
      for (const entry of value) open.push({ value: entry, depth: depth + 1, plain });
    } else if (typeof value === "object" && value !== null) {
      for (const [key, entry] of Object.entries(value)) {
        if (!checkPiece(key, path, report)) return;
        bytes += Buffer.byteLength(key);
        open.push({ value: entry, depth: depth + 1, plain });
      }
    }
    if (maxBytes !== undefined && bytes > maxBytes) {
      report(path, `is larger than ${maxBytes} bytes`);
      return;
    }
  }
}

function checkPiece(text: string, path: string, report: Report): boolean {
  if (text.isWellFormed()) return true;
  report(path, "has half of a surrogate pair, which UTF-8 cannot carry");
  return false;
}

/** Takes the content out of a Value message; its value is undefined when it has no kind. */
function unwrap({ value: message, depth }: Node): Node {
  const { kind } = message as Value;
  switch (kind.case) {
    case "nullValue":
      return { value: null, depth, plain: true };
    case "listValue":
      return { value: kind.value.values, depth, plain: false };
    default:
      return { value: kind.value, depth, plain: true };
  }
}
