import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Flags, loadConfig } from "../src/config.ts";
import { StartError } from "../src/errors.ts";

let cwd: string;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-config-"));
  cwd = folder;
  onTestFinished(() => rm(folder, { recursive: true }));
});

async function load(sinks: string, more: { flags?: Flags; env?: Record<string, string> } = {}) {
  await writeFile(join(cwd, "sessiond.yaml"), `sinks: ${sinks}`);
  return loadConfig({ flags: {}, env: {}, cwd, ...more });
}

async function sentence(...args: Parameters<typeof load>): Promise<string> {
  const error = await load(...args).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartError)) throw new Error(`expected a StartError, got ${error}`);
  return error.message;
}

const whole = { content: true, fields: [], patterns: [] };

test("a sink has the defaults of its type, and paths start at the file", async () => {
  const { config } = await load(
    "{ out: { type: stdout }, f: { type: file, path: log/e.jsonl }, h: { type: webhook, url: 'https://a/b?c' } }",
  );
  expect(config.sinks).toEqual({
    out: { type: "stdout", filter: "", redaction: whole },
    f: {
      type: "file",
      path: join(cwd, "log/e.jsonl"),
      maxBytes: 100 * 2 ** 20,
      keep: 10,
      filter: "",
      redaction: whole,
    },
    // What others could read stays here unless somebody has said so.
    h: {
      type: "webhook",
      url: "https://a/b?c",
      timeoutMs: 10_000,
      filter: "",
      redaction: { ...whole, content: false },
    },
  });
});

test("everything can be said", async () => {
  const { config } = await load(
    `{ f: { type: file, path: /e, max_bytes: 1MiB, max_age: 24h, keep: 3, content: false },
       h: { type: webhook, url: "http://10.0.0.1/", allow_plain_http: true, key_file: key, timeout: 2s,
            dead_letters: dead, content: true, filter: "event.kind == 'fraud_alert'", namespaces: [clinic],
            deletions: true, redact: { fields: [metadata.ssn, toolCall.arguments.password], patterns: ['\\b\\d{16}\\b'] } } }`,
  );
  expect(config.sinks).toMatchObject({
    f: { maxBytes: 2 ** 20, maxAgeMs: 86_400_000, keep: 3, redaction: { content: false } },
    h: {
      keyFile: join(cwd, "key"),
      deadLetters: join(cwd, "dead"),
      timeoutMs: 2_000,
      filter: "event.kind == 'fraud_alert'",
      namespaces: ["clinic"],
      deletions: true,
      redaction: {
        content: true,
        fields: ["metadata.ssn", "toolCall.arguments.password"],
        patterns: ["\\b\\d{16}\\b"],
      },
    },
  });
});

test("an otlp sink has OpenTelemetry's defaults and variables", async () => {
  const { config } = await load(
    "{ a: { type: otlp }, b: { type: otlp, endpoint: 'http://127.0.0.1:1/x', headers: { k: own }, signals: [logs], compression: none, timeout: 2s, resource: { service.name: agents }, content: true, dead_letters: dead } }",
    { env: { OTEL_EXPORTER_OTLP_HEADERS: "k=secret,l=other" } },
  );
  const { a, b } = config.sinks ?? {};
  if (a?.type !== "otlp" || b?.type !== "otlp") throw new Error("no otlp sinks");
  expect(a).toMatchObject({
    filter: "",
    redaction: { ...whole, content: false },
    receiver: {
      urls: { logs: "http://localhost:4318/v1/logs", traces: "http://localhost:4318/v1/traces" },
      compression: "gzip",
      timeoutMs: 10_000,
      resource: { "service.name": "sessiond" },
    },
  });
  expect(b).toMatchObject({
    redaction: whole,
    deadLetters: join(cwd, "dead"),
    receiver: {
      urls: { logs: "http://127.0.0.1:1/x/v1/logs" },
      compression: "none",
      timeoutMs: 2_000,
      resource: { "service.name": "agents" },
    },
  });
  const revealed = ({ headers }: typeof a.receiver) =>
    Object.entries(headers).map(([name, value]) => `${name}=${value.reveal()}`);
  expect(revealed(a.receiver)).toEqual(["k=secret", "l=other"]);
  expect(revealed(b.receiver)).toEqual(["k=own", "l=other"]);
  expect(inspect(config.sinks, { depth: 9 })).not.toContain("secret'");
  expect(JSON.stringify(config.sinks)).not.toContain(':"secret"');
});

test("a variable of OpenTelemetry that makes no sense is named", async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "nowhere" };
  expect(await sentence("{ a: { type: otlp } }", { env })).toBe(
    "file sessiond.yaml is wrong at sinks.a: OTEL_EXPORTER_OTLP_ENDPOINT is no URL",
  );
  const plain = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://10.0.0.1:4318" };
  expect(await sentence("{ a: { type: otlp } }", { env: plain })).toBe(
    "file sessiond.yaml is wrong at sinks.a: OTEL_EXPORTER_OTLP_ENDPOINT is http to another machine, where others can read the events; use https, or set allow_plain_http",
  );
  const { config } = await load("{ a: { type: otlp, allow_plain_http: true } }", { env: plain });
  const { a } = config.sinks ?? {};
  expect(a).toMatchObject({
    receiver: { urls: { logs: "http://10.0.0.1:4318/v1/logs" } },
  });
});

test("--sink-stdout is a sink beside those of the file", async () => {
  const { config } = await load("{ f: { type: file, path: /e } }", { flags: { sinkStdout: true } });
  expect(Object.keys(config.sinks ?? {})).toEqual(["f", "stdout"]);
  const { stdout } = config.sinks ?? {};
  expect(stdout).toEqual({ type: "stdout", filter: "", redaction: whole });
});

test("keys, paths of URLs and headers are not shown", async () => {
  const loaded = await load(
    `{ h: { type: webhook, url: "https://a.example/secret?secret", key_env: K } }`,
    { env: { K: "secret" } },
  );
  const { h } = loaded.config.sinks ?? {};
  const shown = inspect([loaded.tableSources, h], { depth: 9 });
  expect(shown).toContain("https://a.example/…");
  expect(JSON.stringify(loaded.tableSources)).not.toContain("secret");
  expect(JSON.stringify(loaded.config.sinks)).not.toContain('key":"secret"');
});

describe("a mistake is said with its place", () => {
  const hook = "type: webhook, url: 'https://a'";
  test.each([
    ["[]", "sinks: must be a table"],
    ["{ a: { type: kafka } }", 'sinks.a.type: must be "stdout" or "file" or "webhook" or "otlp"'],
    ["{ a: { path: /e } }", 'sinks.a.type: must be "stdout" or "file" or "webhook" or "otlp"'],
    ["{ a: 1 }", "sinks.a: must be a table"],
    ["{ a: { type: file } }", "sinks.a.path: is required; set it"],
    [
      "{ a: { type: stdout, path: /e } }",
      'sinks.a: has the unknown key "path"; known are type, filter, namespaces, deletions, content, redact',
    ],
    [
      `{ a: { ${hook}, redact: { field: [] } } }`,
      'sinks.a.redact: has the unknown key "field"; known are fields, patterns',
    ],
    [
      "{ a: { type: file, path: /e, max_age: 5 } }",
      'sinks.a.max_age: must be a time such as "15m" or "2h"',
    ],
    ["{ a: { type: file, path: /e, max_age: 1ms } }", 'sinks.a.max_age: must be at least "1s"'],
    [
      "{ a: { type: webhook, url: 'ftp://a' } }",
      "sinks.a.url: must be an http or https URL, without user and fragment",
    ],
    [
      "{ a: { type: webhook, url: 'https://u:p@a' } }",
      "sinks.a.url: must be an http or https URL, without user and fragment",
    ],
    [
      "{ a: { type: webhook, url: 'http://10.0.0.1/' } }",
      "sinks.a.url: is http to another machine, where others can read the events; use https, or set allow_plain_http",
    ],
    [
      `{ a: { ${hook}, timeout: 0s } }`,
      'sinks.a.timeout: must be a time from "1ms" to "10m", such as "30s"',
    ],
    [
      `{ a: { ${hook}, timeout: 5 } }`,
      'sinks.a.timeout: must be a time from "1ms" to "10m", such as "30s"',
    ],
    [`{ a: { ${hook}, key_file: '' } }`, "sinks.a.key_file: must not be empty"],
    [`{ a: { ${hook}, key_env: 'A B' } }`, "sinks.a.key_env: must be the name of a variable"],
    [
      `{ a: { ${hook}, namespaces: [] } }`,
      "sinks.a.namespaces: must not be empty; leave it out for all namespaces",
    ],
    [
      `{ a: { ${hook}, redact: { fields: [${"a,".repeat(65)}] } } }`,
      "sinks.a.redact.fields: must have at most 64 elements",
    ],
    ["{ a: { type: file, path: /e, keep: -1 } }", "sinks.a.keep: must be at least 0"],
    [`{ a: { ${hook}, key_env: NOT_SET } }`, "sinks.a.key_env: the variable NOT_SET is not set"],
    [
      `{ a: { ${hook}, key_env: A, key_file: b } }`,
      "sinks.a.key_env: is not together with key_file; name one of them",
    ],
    [
      `{ a: { ${hook}, redact: { fields: [metadata, nothing.x] } } }`,
      /^sinks\.a\.redact\.fields\[1\]: an event has no field "nothing"; it has revision, /,
    ],
    [
      `{ a: { ${hook}, redact: { patterns: ['(a'] } } }`,
      "sinks.a.redact.patterns[0]: is no pattern: missing closing ): `(a`",
    ],
    [
      `{ a: { ${hook}, filter: 'event.nothing' } }`,
      /^sinks\.a\.filter: does not compile at 1:\d+: /,
    ],
    ["{ a: { type: otlp, endpoint: nowhere } }", "sinks.a.endpoint: is no URL"],
    [
      "{ a: { type: otlp, endpoint: 'http://10.0.0.1:4318' } }",
      "sinks.a.endpoint: is http to another machine, where others can read the events; use https, or set allow_plain_http",
    ],
    [
      "{ a: { type: otlp, endpoint: 'http://localhost:4317' } }",
      "sinks.a.endpoint: has port 4317, which is for gRPC; sinks speak http/protobuf, so use the port for that, 4318",
    ],
    ["{ a: { type: otlp, headers: { 'a b': c } } }", /^sinks\.a\.headers/],
    ["{ a: { type: otlp, signals: [] } }", "sinks.a.signals: must not be empty"],
    ["{ a: { type: otlp, signals: [metrics] } }", /^sinks\.a\.signals\[0\]: /],
    ["{ 'a b': { type: stdout } }", /^sinks\.a b: its name must be 1 to 50 letters/],
    [
      "{ __proto__: { type: stdout } }",
      "sinks.__proto__: is a name that cannot be used; choose another",
    ],
    [
      "{ a: { type: stdout }, b: { type: stdout } }",
      "sinks.b: writes where sinks.a writes; leave one out",
    ],
    [
      "{ a: { type: file, path: x/../e }, b: { type: file, path: e } }",
      "sinks.b: writes where sinks.a writes; leave one out",
    ],
    [
      `{ ${Array.from({ length: 33 }, (_, n) => `a${n}: { type: file, path: /e${n} }`).join()} }`,
      "sinks: has more than 32 sinks",
    ],
  ])("%s", async (sinks, expected) => {
    const said = await sentence(sinks);
    const prefix = "file sessiond.yaml is wrong at ";
    expect(said.startsWith(prefix)).toBe(true);
    const what = said.slice(prefix.length);
    if (typeof expected === "string") expect(what).toBe(expected);
    else expect(what).toMatch(expected);
  });

  test("two for stdout", async () => {
    const flags = { sinkStdout: true };
    expect(await sentence("{ a: { type: stdout } }", { flags })).toBe(
      "flag --sink-stdout and sinks.a are both for stdout; leave one out",
    );
  });
});
