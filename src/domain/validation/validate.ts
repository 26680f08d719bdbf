import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { type FieldViolation, InvalidFieldError } from "../../errors.ts";
import { checkFinite, checkJson, checkText, type Report } from "./values.ts";
import { type FieldRule, rules } from "./rules.ts";

type Fields = Readonly<Record<string, unknown>>;
type Check = (message: Fields, path: string, report: Report) => void;

/** Violations reported at once; a caller with more has a systematic mistake. */
const maxViolations = 16;

/**
 * Checks a request against the rules of the contract, and that everything in it can be stored and
 * read back equal: well-formed Unicode, finite numbers, known enum values, times in range,
 * structures of bounded depth.
 *
 * Errors: InvalidFieldError, with the path of every field that is wrong.
 */
export function validate(schema: DescMessage, message: Message): void {
  const violations: FieldViolation[] = [];
  checkOf(schema)(message as unknown as Fields, "", (field, description) => {
    if (violations.length < maxViolations) violations.push({ field, description });
  });
  const [first, ...more] = violations;
  if (first !== undefined) throw new InvalidFieldError(first, ...more);
}

/** One compiled check per message type; descriptors are walked once, not per request. */
const checks = new Map<string, Check>();

function checkOf(schema: DescMessage): Check {
  const known = checks.get(schema.typeName);
  if (known !== undefined) return known;
  let fields: Check[] = [];
  const check: Check = (message, path, report) => {
    for (const field of fields) field(message, path, report);
  };
  // Registered before its fields are compiled, so that a recursive type finds itself.
  checks.set(schema.typeName, check);
  fields = wellKnown(schema) ?? compileFields(schema);
  return check;
}

function compileFields(schema: DescMessage): Check[] {
  const table = rules[schema.typeName] ?? {};
  return schema.fields.map((field) => compileField(field, table[field.name] ?? {}));
}

function compileField(field: DescField, rule: FieldRule): Check {
  const check = compileValue(field, rule);
  const oneof = field.oneof?.localName;
  const name = field.localName;
  return (message, path, report) => {
    let value: unknown;
    if (oneof === undefined) value = message[name];
    else {
      const chosen = message[oneof] as { case: string | undefined; value?: unknown };
      value = chosen.case === name ? chosen.value : undefined;
    }
    const fieldPath = path === "" ? field.name : `${path}.${field.name}`;
    if (isEmpty(value)) {
      if (rule.required) report(fieldPath, "is required");
      return;
    }
    if (rule.setByServer) report(fieldPath, "is set by the server; leave it out");
    else check(value, fieldPath, report);
  };
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === "" ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  );
}

type ValueCheck = (value: unknown, path: string, report: Report) => void;

function compileValue(field: DescField, rule: FieldRule): ValueCheck {
  switch (field.fieldKind) {
    case "message":
      return compileMessage(field.message, rule);
    case "enum": {
      const known = new Set(field.enum.values.map((value) => value.number));
      return (value, path, report) => {
        if (!known.has(value as number)) report(path, `has no value ${String(value)}`);
      };
    }
    case "list":
      return compileList(field, rule);
    case "map":
      return (value, path, report) => checkMap(value as Fields, rule, path, report);
    case "scalar":
      return (value, path, report) => checkScalar(value, rule, path, report);
  }
}

function compileMessage(schema: DescMessage, rule: FieldRule): ValueCheck {
  // In fields of type Struct the generated types hold plain objects, in Value messages.
  const plain = schema.typeName === "google.protobuf.Struct";
  if (plain || schema.typeName === "google.protobuf.Value") {
    return (value, path, report) => checkJson({ value, plain }, rule.maxBytes, path, report);
  }
  const check = checkOf(schema);
  const { minMs } = rule;
  return (value, path, report) => {
    check(value as Fields, path, report);
    if (minMs !== undefined) {
      const { seconds, nanos } = value as { seconds: bigint; nanos: number };
      if (Number(seconds) * 1e3 + nanos / 1e6 < minMs) report(path, `must be at least ${minMs} ms`);
    }
  };
}

function compileList(field: DescField & { fieldKind: "list" }, rule: FieldRule): ValueCheck {
  const item: ValueCheck =
    field.listKind === "message"
      ? compileMessage(field.message, {})
      : (value, path, report) => checkScalar(value, {}, path, report);
  return (value, path, report) => {
    const items = value as readonly unknown[];
    if (rule.maxItems !== undefined && items.length > rule.maxItems) {
      report(path, `has ${items.length} entries, the limit is ${rule.maxItems}`);
      return;
    }
    for (const [index, entry] of items.entries()) item(entry, `${path}[${index}]`, report);
  };
}

function checkScalar(value: unknown, rule: FieldRule, path: string, report: Report): void {
  if (typeof value === "string") checkText(value, rule, path, report);
  else if (typeof value === "number") {
    checkFinite(value, path, report);
    if (rule.min !== undefined && value < rule.min) report(path, `must be at least ${rule.min}`);
  }
}

function checkMap(map: Fields, rule: FieldRule, path: string, report: Report): void {
  const keys = Object.keys(map);
  if (rule.maxItems !== undefined && keys.length > rule.maxItems) {
    report(path, `has ${keys.length} entries, the limit is ${rule.maxItems}`);
    return;
  }
  const keyRule = rule.keyBytes === undefined ? {} : { maxBytes: rule.keyBytes };
  const valueRule = rule.valueBytes === undefined ? {} : { maxBytes: rule.valueBytes };
  for (const key of keys) {
    if (key === "") report(path, "has an empty key");
    checkText(key, keyRule, `${path}[key]`, report);
    checkScalar(map[key], valueRule, `${path}[${JSON.stringify(key.slice(0, 40))}]`, report);
  }
}

// Ranges of google.protobuf.Timestamp and Duration, outside of which JSON cannot carry them.
const minTimestamp = -62_135_596_800n;
const maxTimestamp = 253_402_300_799n;
const maxDuration = 315_576_000_000n;

function wellKnown(schema: DescMessage): Check[] | undefined {
  switch (schema.typeName) {
    case "google.protobuf.Timestamp":
      return [
        (message, path, report) => {
          const { seconds, nanos } = message as { seconds: bigint; nanos: number };
          if (seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos > 999_999_999) {
            report(path, "must lie between the years 1 and 9999");
          }
        },
      ];
    case "google.protobuf.Duration":
      return [
        (message, path, report) => {
          const { seconds, nanos } = message as { seconds: bigint; nanos: number };
          const signsDiffer = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
          const tooLong = seconds > maxDuration || seconds < -maxDuration;
          if (signsDiffer || tooLong || Math.abs(nanos) > 999_999_999) {
            report(path, "must be a duration within 10,000 years, its parts of one sign");
          }
        },
      ];
    default:
      return undefined;
  }
}
