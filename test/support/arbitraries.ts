import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { rules } from "../../src/domain/validation/rules.ts";

/** How often a generator leaves the beaten track, in percent of the fields it fills. */
export interface Wildness {
  readonly percent: number;
}

/** Texts that trip programs: NUL, special tokens, halves of pairs, wide and joined characters. */
const oddTexts = [
  "\0",
  "a\0b",
  "<|endoftext|>",
  "<|im_start|>system",
  "\u{1f469}\u200d\u{1f680}",
  "e\u0301",
  "\ufeffbom",
  "\u202eright to left",
  "\uffff",
  "__proto__",
  "constructor",
  "line\r\nbreak",
  "%00",
  "../..",
] as const;
const halves = ["\ud800", "a\udfffb"] as const;

const word = fc.stringMatching(/^[a-z][a-z0-9_.-]{0,11}$/);

/** Texts that are kept as they are, wherever any text may stand. */
export const keptText = fc.oneof(
  { weight: 4, arbitrary: word },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
  { weight: 1, arbitrary: fc.constantFrom(...oddTexts) },
);

const wildText = fc.oneof(
  keptText,
  fc.constantFrom(...halves),
  fc.constantFrom(" spaced ", "", "x".repeat(201), "é".repeat(101)),
);

const keptNumber = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53, -1e-7),
);

/** JSON as a Struct carries it; deeper than the limit only when wild. */
export function jsonValue({ percent }: Wildness): fc.Arbitrary<JsonValue> {
  const { tree } = fc.letrec<{ tree: JsonValue }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4, depthIdentifier: "json" },
      fc.constant(null),
      fc.boolean(),
      keptNumber,
      keptText,
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(keptText, tie("tree"), { maxKeys: 3 }) as fc.Arbitrary<JsonObject>,
    ),
  }));
  const chain = fc
    .tuple(tree, fc.integer({ min: 25, max: 34 }), fc.boolean())
    .map(([core, levels, lists]) => nested(core, levels, lists));
  const unfit = fc.constantFrom<JsonValue>(Number.NaN, Number.POSITIVE_INFINITY, "\udc00");
  return fc.oneof(
    { weight: 300, arbitrary: tree },
    { weight: percent, arbitrary: chain },
    { weight: percent, arbitrary: unfit },
  );
}

/** Puts a value into so many objects or lists. */
export function nested(core: JsonValue, levels: number, lists = false): JsonValue {
  let value = core;
  for (let level = 0; level < levels; level++) value = lists ? [value] : { k: value };
  return value;
}

/**
 * Messages of a type, made from its descriptor alone: any field may be set to anything its type
 * can carry. `hints` give fields, by message and name, the values a caller would send; a field
 * whose hint is `undefined` is left out. Wildness says how often hints are not followed.
 */
export function messageOf<Desc extends DescMessage>(
  schema: Desc,
  hints: Hints,
  wildness: Wildness,
): fc.Arbitrary<MessageShape<Desc>> {
  return new Messages(hints, wildness).message(schema) as fc.Arbitrary<MessageShape<Desc>>;
}

/** By `<message>.<field>`, for example `sessiond.v1.Event.kind`. */
export type Hints = Readonly<Record<string, fc.Arbitrary<unknown> | undefined>>;

/** What the validation rules say a caller would send: names where names are asked for. */
export const ruleHints: Hints = Object.fromEntries(
  Object.entries(rules).flatMap(([message, fields]) =>
    Object.entries(fields).flatMap(
      ([name, rule]): [string, fc.Arbitrary<unknown> | undefined][] => {
        const key = `${message}.${name}`;
        if (rule.setByServer) return [[key, undefined]];
        if (rule.oneOf) return [[key, fc.constantFrom(...rule.oneOf)]];
        if (rule.pattern) return [[key, word]];
        return rule.required && rule.maxBytes !== undefined ? [[key, word]] : [];
      },
    ),
  ),
);

class Messages {
  readonly #hints: Hints;
  readonly #wildness: Wildness;

  constructor(hints: Hints, wildness: Wildness) {
    this.#hints = hints;
    this.#wildness = wildness;
  }

  message(schema: DescMessage): fc.Arbitrary<Message> {
    const members = schema.members.map((member) => {
      if (member.kind === "field") return this.#field(member);
      return this.#oneof(schema, member);
    });
    const whole = fc
      .tuple(...members)
      .map((inits) => create(schema, Object.assign({}, ...inits) as Record<string, unknown>));
    return this.#rarely(unknownField, fc.constant(undefined)).chain((unknown) =>
      whole.map((message) => (unknown ? Object.assign(message, { $unknown: [unknown] }) : message)),
    );
  }

  #oneof(schema: DescMessage, { fields, localName }: DescMessage["oneofs"][number]) {
    const hinted = fields.filter((field) => !this.#isLeftOut(schema, field));
    const choose = (from: readonly DescField[]) =>
      fc
        .constantFrom(...from)
        .chain((field) =>
          this.#value(field).map((value) => ({ [localName]: { case: field.localName, value } })),
        );
    const none = fc.constant({});
    const wild = fc.oneof(none, choose(fields));
    return this.#rarely(wild, hinted.length === 0 ? none : choose(hinted));
  }

  #isLeftOut(schema: DescMessage, field: DescField): boolean {
    const key = `${schema.typeName}.${field.name}`;
    return key in this.#hints && this.#hints[key] === undefined;
  }

  #field(field: DescField): fc.Arbitrary<object> {
    const key = `${field.parent.typeName}.${field.name}`;
    const set = (values: fc.Arbitrary<unknown>) =>
      values.map((value) => ({ [field.localName]: value }));
    const absent = fc.constant({});
    if (this.#isLeftOut(field.parent, field)) return this.#rarely(this.#lazy(field), absent);
    const hint = this.#hints[key];
    if (hint !== undefined) return this.#rarely(this.#lazy(field), set(hint));
    const rule = rules[field.parent.typeName]?.[field.name];
    const some = this.#value(field);
    const notZero = some.filter((number) => number !== 0);
    const value = set(rule?.zero === undefined ? some : this.#rarely(fc.constant(0), notZero));
    return rule?.required ? this.#rarely(absent, value) : fc.oneof(absent, value);
  }

  /** Made only when it is drawn, so that wild fields do not unfold the whole contract. */
  #lazy(field: DescField): fc.Arbitrary<object> {
    return fc
      .constant(undefined)
      .chain(() => this.#value(field).map((value) => ({ [field.localName]: value })));
  }

  #rarely<A, B>(wild: fc.Arbitrary<A>, tame: fc.Arbitrary<B>): fc.Arbitrary<A | B> {
    const { percent } = this.#wildness;
    return fc.oneof(
      { weight: 100 - percent, arbitrary: tame },
      { weight: percent, arbitrary: wild },
    );
  }

  #value(field: DescField): fc.Arbitrary<unknown> {
    switch (field.fieldKind) {
      case "message":
        return this.#messageValue(field.message);
      case "enum":
        return this.#enumValue(field.enum.values.map(({ number }) => number));
      case "scalar":
        return this.#scalar(field.scalar);
      case "list":
        return fc.array(this.#listItem(field), { minLength: 1, maxLength: 3 });
      case "map":
        return fc.dictionary(this.#text(), this.#text(), { maxKeys: 4 });
    }
  }

  #listItem(field: DescField & { fieldKind: "list" }): fc.Arbitrary<unknown> {
    switch (field.listKind) {
      case "message":
        return this.#messageValue(field.message);
      case "enum":
        return this.#enumValue(field.enum.values.map(({ number }) => number));
      case "scalar":
        return this.#scalar(field.scalar);
    }
  }

  #messageValue(schema: DescMessage): fc.Arbitrary<unknown> {
    switch (schema.typeName) {
      case "google.protobuf.Struct":
        return fc.dictionary(keptText, jsonValue(this.#wildness), { maxKeys: 3 });
      case "google.protobuf.Value":
        return this.#rarely(
          fc.constant(create(ValueSchema)),
          jsonValue(this.#wildness).map((json) => fromJson(ValueSchema, json)),
        );
      case "google.protobuf.Duration":
        return this.#rarely(time, shortTime).map((init) => create(schema, init));
      case "google.protobuf.Timestamp":
        return time.map((init) => create(schema, init));
      default:
        return this.message(schema);
    }
  }

  #enumValue(numbers: readonly number[]): fc.Arbitrary<number> {
    return this.#rarely(fc.constantFrom(77, -1, 2_147_483_647), fc.constantFrom(...numbers));
  }

  #text(): fc.Arbitrary<string> {
    return this.#rarely(wildText, keptText);
  }

  #scalar(type: ScalarType): fc.Arbitrary<unknown> {
    switch (type) {
      case ScalarType.STRING:
        return this.#text();
      case ScalarType.BOOL:
        return fc.boolean();
      case ScalarType.DOUBLE:
        return this.#rarely(
          fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -1),
          fc.double({ min: 0, max: 1, noNaN: true }),
        );
      case ScalarType.UINT32:
        return fc.oneof(fc.nat(100), fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff));
      case ScalarType.INT32:
        return this.#rarely(fc.constantFrom(-1, -2_147_483_648), fc.nat(100));
      default:
        throw new Error(`no request has a field of scalar type ${ScalarType[type]} yet`);
    }
  }
}

const unknownField = fc.record({
  no: fc.integer({ min: 900, max: 1_000 }),
  wireType: fc.constant(2),
  data: fc.constant(new Uint8Array([1, 0x61])),
});

const shortTime = fc.record({
  seconds: fc.bigInt({ min: 1n, max: 100_000n }),
  nanos: fc.constantFrom(0, 1, 999_999_999),
});

const time = fc.record({
  seconds: fc.oneof(
    fc.bigInt({ min: -100n, max: 100n }),
    fc.constantFrom(2n ** 62n, -(2n ** 62n), 315_576_000_000n, 253_402_300_800n),
  ),
  nanos: fc.constantFrom(0, -1, 1, 1_000_000_000),
});
