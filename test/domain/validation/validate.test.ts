import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  AppendEventsRequestSchema,
  ConsumerService,
  ContextService,
  CreateSessionRequestSchema,
  EventService,
  GetContextWindowRequestSchema,
  GetSessionRequestSchema,
  MetricsService,
  ServerService,
  SessionService,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { rules } from "../../../src/domain/validation/rules.ts";
import { validate } from "../../../src/domain/validation/validate.ts";
import { InvalidFieldError } from "../../../src/errors.ts";
import { userText } from "../../support/domain.ts";

/** Paths of what is wrong with a message; none: it is valid. */
function wrong<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): string[] {
  try {
    validate(schema, create(schema, init));
    return [];
  } catch (error) {
    if (!(error instanceof InvalidFieldError)) throw error;
    return error.violations.map(({ field }) => field);
  }
}

/** All message types that requests are made of, by name. */
function requestTypes(): Map<string, DescMessage> {
  const found = new Map<string, DescMessage>();
  const visit = (schema: DescMessage) => {
    if (found.has(schema.typeName)) return;
    found.set(schema.typeName, schema);
    for (const { message } of schema.fields) if (message) visit(message);
  };
  const services = [
    SessionService,
    EventService,
    ContextService,
    MetricsService,
    ConsumerService,
    ServerService,
  ];
  for (const { methods } of services) {
    for (const { input } of methods) visit(input);
  }
  return found;
}

describe("the table of rules", () => {
  const types = requestTypes();

  test.each(Object.keys(rules))(
    "%s is part of a request, and has every field that is named",
    (type) => {
      const schema = types.get(type);
      const fields = schema?.fields.map(({ name }) => name) ?? [];
      expect(fields).toEqual(expect.arrayContaining(Object.keys(rules[type] ?? {})));
      expect(schema).toBeDefined();
    },
  );

  test("rules stand at fields of a type they can be checked on", () => {
    for (const [type, fields] of Object.entries(rules)) {
      for (const [name, rule] of Object.entries(fields)) {
        const field = types.get(type)?.fields.find((one) => one.name === name);
        const kinds = {
          pattern: "scalar",
          oneOf: "scalar",
          zero: "scalar",
          min: "scalar",
          max: "scalar",
          maxItems: "list or map",
          keyBytes: "map",
          valueBytes: "map",
          minMs: "message",
        } as const;
        for (const [part, kind] of Object.entries(kinds)) {
          if (part in rule) expect(kind, `${type}.${name} ${part}`).toContain(field?.fieldKind);
        }
        // Elsewhere nobody can tell a 0 from a field that is left out.
        if (rule.zero) expect(field?.presence).toBe(FeatureSet_FieldPresence.EXPLICIT);
      }
    }
  });

  test("every field that says it is set by the server has a rule that says so", () => {
    const bySession = Object.entries(rules["sessiond.v1.Session"] ?? {})
      .filter(([, rule]) => rule.setByServer)
      .map(([name]) => name);
    expect(bySession.sort()).toEqual(
      ["uid", "state", "end", "parent", "create_time", "update_time", "last_activity_time"]
        .concat(["start_time", "end_time", "expire_time", "head_revision", "metrics", "etag"])
        .concat("reopen_time")
        .sort(),
    );
  });
});

describe("paths", () => {
  const at = (fields: string[], init: MessageInitShape<typeof AppendEventsRequestSchema>) =>
    expect(wrong(AppendEventsRequestSchema, { sessionId: "demo", ...init })).toEqual(fields);

  test("name every field that is wrong, in the order of the contract", () => {
    const kind = "k".repeat(64);
    at(["namespace", "events[0].kind", "events[2].kind", "request_id"], {
      namespace: "a b",
      events: [{ ...userText("x"), kind }, userText("y"), { ...userText("z"), kind }],
      requestId: "\0",
    });
  });

  test("go through oneofs and lists", () => {
    const image = { content: { case: "image", value: { sizeClass: 9 as 1 } } } as const;
    at(["events[0].message.parts[1].image.uri", "events[0].message.parts[1].image.size_class"], {
      events: [{ payload: { case: "message", value: { parts: [{}, image] } } }],
    });
  });

  test("stop at sixteen", () => {
    const events = Array.from({ length: 100 }, () => ({ ...userText("x"), revision: 1 }));
    expect(wrong(AppendEventsRequestSchema, { sessionId: "demo", events })).toHaveLength(16);
  });

  test("show at most the beginning of a map's key", () => {
    const [field = ""] = wrong(CreateSessionRequestSchema, {
      session: { labels: { ["k".repeat(1_000_000)]: "x" } },
    });
    expect(field).toBe(`session.labels["${"k".repeat(40)}"]`);
  });

  test("of a key cut within a pair of surrogates are well-formed", () => {
    const key = `${"k".repeat(39)}\u{1f680}${"k".repeat(30)}`;
    const [field = ""] = wrong(CreateSessionRequestSchema, { session: { labels: { [key]: "x" } } });
    expect(field.isWellFormed()).toBe(true);
  });
});

describe("ids", () => {
  const id = (sessionId: string) => wrong(GetSessionRequestSchema, { sessionId });

  test.each(["x", "a b", "x".repeat(200), `${"語".repeat(66)}xx`, "a\u200db", "..", "%00", "a/b"])(
    "%j is one",
    (text) => expect(id(text)).toEqual([]),
  );

  test.each(["", " ", " x", "x ", "\u00a0x", "a\0", "a\nb", "a\u2028b", "\ud800", "x".repeat(201)])(
    "%j is none",
    (text) => expect(id(text)).toEqual(["session_id"]),
  );
});

test("fields that are not in the contract are named by their number", () => {
  const message = create(GetSessionRequestSchema, { sessionId: "demo" });
  message.$unknown = [{ no: 99, wireType: 0, data: new Uint8Array([1]) }];
  expect(() => validate(GetSessionRequestSchema, message)).toThrow("#99");
  const event = create(AppendEventsRequestSchema, { sessionId: "demo", events: [userText("x")] });
  const [first] = event.events;
  if (first !== undefined) first.$unknown = message.$unknown;
  expect(() => validate(AppendEventsRequestSchema, event)).toThrow("events[0].#99");
});

test("durations are checked for their form, and for the shortest that makes sense", () => {
  const ttl = (seconds: bigint, nanos = 0) =>
    wrong(CreateSessionRequestSchema, { session: { expiry: { ttl: { seconds, nanos } } } });
  const path = "session.expiry.ttl";
  expect(ttl(0n, 1_000_000)).toEqual([]);
  expect(ttl(315_576_000_000n)).toEqual([]);
  expect(ttl(0n, 999_999)).toEqual([path]);
  expect(ttl(315_576_000_001n)).toEqual([path]);
  expect(ttl(1n, -1)).toContain(path);
  expect(ttl(0n, 1_000_000_000)).toContain(path);
});

test("what a caller may leave out may be left out", () => {
  expect(wrong(CreateSessionRequestSchema, {})).toEqual([]);
  expect(wrong(CreateSessionRequestSchema, { session: {} })).toEqual([]);
  expect(wrong(AppendEventsRequestSchema, { sessionId: "d", events: [userText("")] })).toEqual([]);
});

test("an optional number that is set to nothing is not the same as one that is absent", () => {
  const request = { sessionId: "demo" };
  expect(wrong(GetContextWindowRequestSchema, request)).toEqual([]);
  expect(wrong(GetContextWindowRequestSchema, { ...request, tokenBudget: 0 })).toEqual([
    "token_budget",
  ]);
  expect(wrong(GetContextWindowRequestSchema, { ...request, reservedOutputTokens: 0 })).toEqual([]);
});
