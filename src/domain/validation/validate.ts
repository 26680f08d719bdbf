import type { DescEnum, DescField, DescMessage, JsonObject, Message } from "@bufbuild/protobuf";
import {
  type Duration,
  FeatureSet_FieldPresence,
  type Timestamp,
  type Value,
} from "@bufbuild/protobuf/wkt";
import { type FieldViolation, InvalidFieldError } from "../../errors.ts";
import { checkStruct, checkValue } from "./json.ts";
import { type FieldRule, rules } from "./rules.ts";
import {
  checkDuration,
  checkNumber,
  checkShortest,
  checkText,
  checkTimestamp,
  type Report,
} from "./values.ts";

type Fields = Readonly<Record<string, unknown>>;
type Check = (message: Fields, path: string, report: Report) => void;

/** Violations reported at once; a caller with more has a systematic mistake. */
const maxViolations = 16;

/** Who wrote a message: its caller, or a server that stored it, with what only servers set. */
export type Origin = "caller" | "server";

/**
 * Checks a request against the rules of the contract, and that everything in it can be stored and
 * read back equal: known fields, well-formed Unicode, finite numbers, known enum values, times in
 * range, structures of bounded depth.
 *
 * Errors: InvalidFieldError, with the path of every field that is wrong.
 */
export function validate(schema: DescMessage, message: Message, origin: Origin = "caller"): void {
  const violations: FieldViolation[] = [];
  compilers[origin].checkOf(schema)(message as unknown as Fields, "", (field, description) => {
    if (violations.length < maxViolations) violations.push({ field, description });
  });
  const [first, ...more] = violations;
  if (first !== undefined) throw new InvalidFieldError(first, ...more);
}

/**
 * Refuses fields that the contract does not have, as JSON does: what a newer client asks for by
 * them would silently not happen.
 */
const checkUnknown: Check = (message, path, report) => {
  const [first] = (message as unknown as Message).$unknown ?? [];
  if (first === undefined) return;
  report(
    path === "" ? `#${first.no}` : `${path}.#${first.no}`,
    `field number ${first.no} is unknown here; leave it out, or use a newer server`,
  );
};

type ValueCheck = (value: unknown, path: string, report: Report) => void;

/** One compiled check per message type; descriptors are walked once, not per request. */
class Compiler {
  readonly #origin: Origin;
  readonly #checks = new Map<string, Check>();

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  checkOf(schema: DescMessage): Check {
    const known = this.#checks.get(schema.typeName);
    if (known !== undefined) return known;
    let fields: Check[] = [];
    const check: Check = (message, path, report) => {
      for (const field of fields) field(message, path, report);
    };
    // Registered before its fields are compiled, so that a recursive type finds itself.
    this.#checks.set(schema.typeName, check);
    fields = [checkUnknown, ...(wellKnown(schema) ?? this.#fields(schema))];
    return check;
  }

  #fields(schema: DescMessage): Check[] {
    const table = rules[schema.typeName] ?? {};
    return schema.fields.map((field) => this.#field(field, table[field.name] ?? {}));
  }

  #field(field: DescField, rule: FieldRule): Check {
    const check = this.#value(field, rule);
    const oneof = field.oneof?.localName;
    const name = field.localName;
    // An optional number or text that is set to nothing says something else than one that is absent.
    const isTracked = field.fieldKind === "scalar" && field.presence === explicitPresence;
    return (message, path, report) => {
      let value: unknown;
      if (oneof === undefined) value = message[name];
      else {
        const chosen = message[oneof] as { case: string | undefined; value?: unknown };
        value = chosen.case === name ? chosen.value : undefined;
      }
      const fieldPath = path === "" ? field.name : `${path}.${field.name}`;
      if (value === undefined || (!isTracked && isEmpty(value))) {
        if (rule.required) report(fieldPath, "is required; set it");
        return;
      }
      if (rule.setByServer && this.#origin === "caller") {
        report(fieldPath, "is set by the server; leave it out");
      } else check(value, fieldPath, report);
    };
  }

  #value(field: DescField, rule: FieldRule): ValueCheck {
    switch (field.fieldKind) {
      case "message":
        return this.#message(field.message, rule);
      case "enum":
        return enumCheck(field.enum);
      case "list":
        return this.#list(field, rule);
      case "map":
        return (value, path, report) => checkMap(value as Fields, rule, path, report);
      case "scalar":
        return (value, path, report) => checkScalar(value, rule, path, report);
    }
  }

  #message(schema: DescMessage, { maxBytes, minMs }: FieldRule): ValueCheck {
    switch (schema.typeName) {
      case "google.protobuf.Struct":
        return (value, path, report) => checkStruct(value as JsonObject, maxBytes, path, report);
      case "google.protobuf.Value":
        return (value, path, report) => checkValue(value as Value, maxBytes, path, report);
    }
    const check = this.checkOf(schema);
    return (value, path, report) => {
      check(value as Fields, path, report);
      if (minMs !== undefined) checkShortest(value as Duration, minMs, path, report);
    };
  }

  #item(field: DescField & { fieldKind: "list" }): ValueCheck {
    switch (field.listKind) {
      case "message":
        return this.#message(field.message, {});
      case "enum":
        return enumCheck(field.enum);
      case "scalar":
        return (value, path, report) => checkScalar(value, {}, path, report);
    }
  }

  #list(field: DescField & { fieldKind: "list" }, rule: FieldRule): ValueCheck {
    const item = this.#item(field);
    return (value, path, report) => {
      const items = value as readonly unknown[];
      if (rule.maxItems !== undefined && items.length > rule.maxItems) {
        report(path, `has ${items.length} entries, the limit is ${rule.maxItems}; send fewer`);
        return;
      }
      for (const [index, entry] of items.entries()) item(entry, `${path}[${index}]`, report);
    };
  }
}

/** A list of enums may hold numbers that the contract has no name for, as a field may. */
function enumCheck({ values }: DescEnum): ValueCheck {
  const known = new Set(values.map(({ number }) => number));
  const names = values.map(({ name }) => name).join(", ");
  return (value, path, report) => {
    if (!known.has(value as number)) {
      report(path, `has no value ${String(value)}; it has ${names}`);
    }
  };
}

const compilers = { caller: new Compiler("caller"), server: new Compiler("server") };

const explicitPresence = FeatureSet_FieldPresence.EXPLICIT;

function isEmpty(value: unknown): boolean {
  return (
    value === "" || value === 0 || value === false || (Array.isArray(value) && value.length === 0)
  );
}

function checkScalar(value: unknown, rule: FieldRule, path: string, report: Report): void {
  if (typeof value === "string") checkText(value, rule, path, report);
  else if (typeof value === "number") checkNumber(value, rule, path, report);
}

function checkMap(map: Fields, rule: FieldRule, path: string, report: Report): void {
  const keys = Object.keys(map);
  if (rule.maxItems !== undefined && keys.length > rule.maxItems) {
    report(path, `has ${keys.length} entries, the limit is ${rule.maxItems}; send fewer`);
    return;
  }
  const keyRule = rule.keyBytes === undefined ? {} : { maxBytes: rule.keyBytes };
  const valueRule = rule.valueBytes === undefined ? {} : { maxBytes: rule.valueBytes };
  for (const key of keys) {
    const entryPath = `${path}[${JSON.stringify(key.slice(0, 40))}]`;
    if (key === "") report(entryPath, "has an empty key; name it");
    checkText(key, keyRule, entryPath, (field, description) =>
      report(field, `its key ${description}`),
    );
    checkScalar(map[key], valueRule, entryPath, report);
  }
}

function wellKnown(schema: DescMessage): Check[] | undefined {
  switch (schema.typeName) {
    case "google.protobuf.Timestamp":
      return [(message, path, report) => checkTimestamp(asTime<Timestamp>(message), path, report)];
    case "google.protobuf.Duration":
      return [(message, path, report) => checkDuration(asTime<Duration>(message), path, report)];
    default:
      return undefined;
  }
}

function asTime<T extends Timestamp | Duration>(message: Fields): T {
  return message as unknown as T;
}
