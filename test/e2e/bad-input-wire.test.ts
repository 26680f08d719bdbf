import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { text as readText } from "node:stream/consumers";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { EventService, SessionService } from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestApp, pathOf, type TestApp, Verbatim } from "../support/app.ts";
import { createKept, type Expected, expectRefusal } from "./support/refusal.ts";

const { createSession, getSession } = SessionService.method;
const { appendEvents, listEvents } = EventService.method;

let app: TestApp;

beforeAll(async () => {
  app = await openTestApp();
  await createKept(app);
});

afterAll(() => app[Symbol.asyncDispose]());

/** One field with a length in front: a text, bytes, or a message. */
function field(no: number, content: string | Uint8Array): Uint8Array {
  return new BinaryWriter()
    .tag(no, WireType.LengthDelimited)
    .bytes(typeof content === "string" ? Buffer.from(content) : content)
    .finish();
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

const badUtf8 = Uint8Array.of(0x61, 0xc3, 0x28);
const surrogateAsUtf8 = Uint8Array.of(0xed, 0xa0, 0x80);

/** A Value with so many Structs inside one another. */
function deepValue(levels: number): Uint8Array {
  let value: Uint8Array = Uint8Array.of(0x20, 1);
  for (let level = 0; level < levels; level++) {
    value = field(5, field(1, join(field(1, "k"), field(2, value))));
  }
  return value;
}

/** Groups inside one another, which only an attacker sends. */
function deepGroups(levels: number): Uint8Array {
  const writer = new BinaryWriter();
  for (let level = 0; level < levels; level++) writer.tag(99, WireType.StartGroup);
  for (let level = 0; level < levels; level++) writer.tag(99, WireType.EndGroup);
  return writer.finish();
}

const appendTo = (...events: readonly Uint8Array[]) =>
  join(field(2, "fresh"), ...events.map((event) => field(3, event)), Uint8Array.of(0x30, 1));
const message = field(20, field(1, "hi"));
const custom = (value: Uint8Array) => field(41, join(field(1, "t"), field(2, value)));
const nan = join(Uint8Array.of(0x11), new Uint8Array(new Float64Array([Number.NaN]).buffer));
const metadata = (value: Uint8Array) => field(10, field(1, join(field(1, "k"), field(2, value))));

const decoding = { says: "cannot be decoded" } as const;

const binaries: readonly (readonly [string, DescMethodUnary, Uint8Array, Expected])[] = [
  ["bytes that are no message", getSession, Uint8Array.of(0xff), decoding],
  ["a message cut short", getSession, field(2, "kept").subarray(0, 4), decoding],
  ["a length beyond the end", getSession, Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0x07), decoding],
  ["an endless varint", getSession, new Uint8Array(64).fill(0xff), decoding],
  ["field number 0", getSession, Uint8Array.of(0x02, 0x01, 0x61), decoding],
  ["an unmatched end of a group", getSession, Uint8Array.of(0x14), decoding],
  ["an id that is not UTF-8", getSession, field(2, badUtf8), decoding],
  ["an id with a surrogate in UTF-8", getSession, field(2, surrogateAsUtf8), decoding],
  ["a text that is not UTF-8", appendEvents, appendTo(field(20, field(1, badUtf8))), decoding],
  [
    "a key of metadata that is not UTF-8",
    appendEvents,
    appendTo(join(message, field(10, field(1, join(field(1, badUtf8), field(2, nan)))))),
    decoding,
  ],
  ["a Struct of 100 levels", appendEvents, appendTo(custom(deepValue(100))), decoding],
  ["10,000 groups", createSession, deepGroups(10_000), decoding],
  [
    "a Value of 33 levels",
    appendEvents,
    appendTo(custom(deepValue(32))),
    { field: "events[0].custom.value", says: "deeper" },
  ],
  [
    "NaN in a Struct",
    appendEvents,
    appendTo(join(message, metadata(nan))),
    { field: "events[0].metadata" },
  ],
  [
    "NaN in a Value",
    appendEvents,
    appendTo(custom(nan)),
    { field: "events[0].custom.value", says: "finite" },
  ],
  [
    "a Value of no kind",
    appendEvents,
    appendTo(custom(new Uint8Array())),
    { field: "events[0].custom.value", says: "null" },
  ],
  ["a field there is not", appendEvents, join(appendTo(message), field(99, "x")), { field: "#99" }],
  [
    "a field there is not in an event",
    appendEvents,
    appendTo(join(message, field(99, "x"))),
    { field: "events[0].#99" },
  ],
  [
    "a payload of a newer contract",
    appendEvents,
    appendTo(field(98, field(1, "x"))),
    { field: "events[0].#98" },
  ],
  [
    "a duration beyond its range",
    appendEvents,
    appendTo(join(message, field(9, Uint8Array.of(0x08, ...new Array(8).fill(0xff), 0x7f)))),
    { field: "events[0].duration" },
  ],
  [
    "a message above 4 MiB",
    appendEvents,
    appendTo(field(20, field(1, "x".repeat(4_194_304)))),
    { code: "ResourceExhausted", reason: "REQUEST_TOO_LARGE", says: "4194304" },
  ],
];

test.each(binaries)("refused over gRPC: %s", async (_name, method, bytes, expected) => {
  await expectRefusal(app, () => app.grpc(method, bytes), expected);
});

const deepJson = (levels: number) => `${'{"k":'.repeat(levels)}1${"}".repeat(levels)}`;
const event = (json: string) =>
  `{"sessionId":"fresh","createIfMissing":true,"events":[{"message":{"text":"hi"},${json}}]}`;
const session = (json: string) => `{"session":{"sessionId":"fresh",${json}}}`;

const jsons: readonly (readonly [string, DescMethodUnary, string, Expected])[] = [
  ["a text that is no JSON", getSession, "{", decoding],
  ["a number", getSession, "5", decoding],
  ["null", getSession, "null", decoding],
  ["a list", getSession, "[]", decoding],
  ["text behind the JSON", getSession, '{"sessionId":"kept"} x', decoding],
  ["an id that is a number", getSession, '{"sessionId":5}', decoding],
  ["events that are no list", appendEvents, '{"sessionId":"fresh","events":{}}', decoding],
  ["a page_size that is a text", listEvents, '{"sessionId":"kept","pageSize":"many"}', decoding],
  ["a page_size with a fraction", listEvents, '{"sessionId":"kept","pageSize":1.5}', decoding],
  ["a field there is not", createSession, session('"nope":1'), { ...decoding, field: "nope" }],
  ["__proto__ as a field", createSession, session('"__proto__":{"title":"x"}'), decoding],
  ["constructor as a field", createSession, session('"constructor":{"prototype":1}'), decoding],
  ["a field twice", createSession, session('"title":"a","title":"b"'), decoding],
  [
    "a field under both its names",
    createSession,
    session('"agentId":"a","agent_id":"b"'),
    decoding,
  ],
  ["half of a pair in an id", getSession, '{"sessionId":"\\ud800"}', decoding],
  ["half of a pair in a label", createSession, session('"labels":{"\\ud800":"x"}'), decoding],
  [
    "half of a pair in metadata",
    createSession,
    session('"metadata":{"k":["\\udc00"]}'),
    { field: "session.metadata", says: "surrogate" },
  ],
  [
    "half of a pair as a key of metadata",
    createSession,
    session('"metadata":{"\\udc00":1}'),
    { field: "session.metadata", says: "surrogate" },
  ],
  ["a Struct of 100 levels", createSession, session(`"metadata":${deepJson(100)}`), decoding],
  ["100,000 open brackets", createSession, session(`"metadata":${"[".repeat(100_000)}`), decoding],
  [
    "a Struct of 33 levels",
    createSession,
    session(`"metadata":${deepJson(33)}`),
    { field: "session.metadata", says: "deeper" },
  ],
  [
    "a number beyond doubles in metadata",
    createSession,
    session('"metadata":{"k":1e999}'),
    { field: "session.metadata", says: "finite" },
  ],
  [
    "NaN in a double",
    appendEvents,
    event('"usage":{"cost":"NaN"}'),
    { field: "events[0].usage.cost", says: "finite" },
  ],
  [
    "-Infinity in a double",
    appendEvents,
    event('"usage":{"cost":"-Infinity"}'),
    { field: "events[0].usage.cost", says: "finite" },
  ],
  ["a negative uint32", appendEvents, event('"usage":{"inputTokens":-1}'), decoding],
  ["a uint32 of 33 bits", appendEvents, event('"usage":{"inputTokens":4294967296}'), decoding],
  ["an unknown name of an enum", appendEvents, event('"role":"ROLE_NOPE"'), decoding],
  ["an unknown number of an enum", appendEvents, event('"role":77'), { field: "events[0].role" }],
  ["two payloads", appendEvents, event('"thinking":{"text":"x"}'), decoding],
  ["a duration that is a number", createSession, session('"expiry":{"ttl":5}'), decoding],
  [
    "a duration beyond 10,000 years",
    createSession,
    session('"expiry":{"ttl":"315576000001s"}'),
    decoding,
  ],
  ["a time without a zone", createSession, session('"createTime":"2030-01-01T00:00:00"'), decoding],
  [
    "a time beyond the year 9999",
    createSession,
    session('"createTime":"10000-01-01T00:00:00Z"'),
    decoding,
  ],
  [
    "a body above 4 MiB",
    appendEvents,
    event(`"kind":"${"x".repeat(4_194_304)}"`),
    { code: "ResourceExhausted", reason: "REQUEST_TOO_LARGE", says: "4194304" },
  ],
];

test.each(jsons)("refused as JSON: %s", async (_name, method, body, expected) => {
  await expectRefusal(app, () => app.json(method, new Verbatim(body)), expected);
});

test("JSON that is not UTF-8 is refused", async () => {
  const body = Buffer.concat([
    Buffer.from('{"session":{"sessionId":"fresh","title":"'),
    badUtf8,
    Buffer.from('"}}'),
  ]);
  await expectRefusal(app, () => app.json(createSession, new Verbatim(body)), decoding);
});

/** Sends bytes as they stand and gives what comes back until the server hangs up. */
async function exchange(request: string): Promise<string> {
  const [host, port] = app.address.split(":");
  const socket = connectTcp({ ...(host && { host }), port: Number(port) });
  socket.end(request);
  return readText(socket);
}

describe("malformed HTTP", () => {
  const path = pathOf(getSession);
  const post = `POST ${path} HTTP/1.1\r\nHost: localhost\r\n`;
  const body = 'content-type: application/json\r\ncontent-length: 20\r\n\r\n{"sessionId":"kept"}';

  test("a well-formed request over the same socket is answered", async () => {
    expect(await exchange(`${post}connection: close\r\n${body}`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test.each([
    ["no request at all", "\0\0\0\0\r\n\r\n"],
    ["a text", "hello\r\n\r\n"],
    ["a header without a name", `${post}: x\r\n${body}`],
    ["two lengths", `${post}content-length: 3\r\n${body}`],
    ["a length that is negative", `${post}content-length: -1\r\n\r\n`],
    ["no Host", `POST ${path} HTTP/1.1\r\n${body}`],
    ["no Host in HTTP/1.0", `POST ${path} HTTP/1.0\r\n${body}`],
    ["a Host that is none", `POST ${path} HTTP/1.1\r\nHost: a b\r\n${body}`],
    ["a target that is no path", `POST %00 HTTP/1.1\r\nHost: localhost\r\n${body}`],
    ["a chunk that is none", `${post}transfer-encoding: chunked\r\n\r\nzz\r\n`],
  ])("is refused by name: %s", async (_name, request) => {
    const answer = await exchange(request);
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer).toContain("INVALID_FIELD");
    expect(await app.json(getSession, { sessionId: "kept" })).toMatchObject({ ok: true });
  });

  test.each([
    ["a path there is not", "/sessiond.v1.SessionService/Nope", 501],
    ["a path with NUL", "/%00", 501],
    ["a path that climbs", "/../../etc/passwd", 501],
  ])("is answered by name: %s", async (_name, target, status) => {
    const answer = await exchange(`POST ${target} HTTP/1.1\r\nHost: localhost\r\n${body}`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain("NOT_SUPPORTED");
  });
});

test("gRPC-Web and JSON over plaintext HTTP/2 are told to use HTTP/1.1", async () => {
  const client = connectHttp2(`http://${app.address}`);
  try {
    for (const type of ["application/grpc-web+proto", "application/json", "application/proto"]) {
      const stream = client.request({
        ":method": "POST",
        ":path": pathOf(getSession),
        "content-type": type,
      });
      let headers = "";
      stream.on("response", (received) => {
        headers = JSON.stringify(received);
      });
      stream.end(Buffer.from("{}"));
      const said = headers + (await readText(stream)) + headers;
      expect(said).toMatch(/HTTP\/1\.1/);
    }
  } finally {
    client.close();
  }
  expect(await app.json(getSession, { sessionId: "kept" })).toMatchObject({ ok: true });
});
