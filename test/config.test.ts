import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Flags, loadConfig } from "../src/config.ts";
import { settings } from "../src/config-settings.ts";
import { StartError } from "../src/errors.ts";

let cwd: string;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-config-"));
  cwd = folder;
  onTestFinished(() => rm(folder, { recursive: true }));
});

interface Inputs {
  readonly flags?: Flags;
  readonly env?: Record<string, string>;
  readonly files?: Record<string, string>;
}

async function load({ flags = {}, env = {}, files = {} }: Inputs) {
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  return loadConfig({ flags, env, cwd });
}

async function sentence(inputs: Inputs): Promise<string> {
  const error = await load(inputs).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartError)) throw new Error(`expected a StartError, got ${error}`);
  return error.message;
}

test("without any input everything has its default", async () => {
  const { config, sources } = await load({});
  expect(config).toEqual({
    listen: { host: "127.0.0.1", port: 7377 },
    unix: undefined,
    probeListen: { host: "127.0.0.1", port: 7378 },
    data: join(cwd, ".sessiond"),
    store: "lmdb",
    logLevel: "info",
    allowHosts: [],
    allowOrigins: [],
    preloadTokenizer: true,
    maxMapSize: undefined,
    sinkStdout: false,
    dangerouslyAllowRemote: false,
  });
  expect(new Set(Object.values(sources).map((source) => source.from))).toEqual(
    new Set(["default"]),
  );
});

/** For each setting two right inputs and what they mean; the first as typed, the second in a file. */
const inputs = {
  listen: ["8000", { host: "127.0.0.1", port: 8000 }, '"[::1]:9"', { host: "::1", port: 9 }],
  unix: ["/run/s", "/run/s", "/run/t", "/run/t"],
  probeListen: ["0.0.0.0:1", { host: "0.0.0.0", port: 1 }, "off", undefined],
  data: ["/var/a", "/var/a", "/var/b", "/var/b"],
  store: ["memory", "memory", "lmdb", "lmdb"],
  logLevel: ["debug", "debug", "silent", "silent"],
  allowHosts: ["A.example, b:1", ["a.example", "b:1"], "[c.example]", ["c.example"]],
  allowOrigins: ["http://a:1,https://b", ["http://a:1", "https://b"], "http://c", ["http://c"]],
  preloadTokenizer: ["false", false, "true", true],
  archive: ["/var/a", "/var/a", "/var/b", "/var/b"],
  maxMapSize: ["64GiB", 64 * 2 ** 30, "1048576", 2 ** 20],
  sinkStdout: ["true", true, "false", false],
  dangerouslyAllowRemote: ["true", true, "false", false],
  summariserUrl: ["http://a:1/v1", "http://a:1/v1", "https://b/v1", "https://b/v1"],
  summariserModel: ["small", "small", "large", "large"],
  summariserKeyFile: ["/run/a", "/run/a", "/run/b", "/run/b"],
  summariserKeyEnv: ["MY_KEY", "MY_KEY", "OTHER_KEY", "OTHER_KEY"],
  summariserTimeout: ["500ms", 500, "2m", 120_000],
  summariserMaxTokens: ["900", 900, "1000", 1_000],
} satisfies Record<keyof typeof settings, readonly [string, unknown, string, unknown]>;

describe.each(Object.entries(inputs))("%s", (name, [typed, typedValue, inFile, fileValue]) => {
  const key = name as keyof typeof settings;
  const { env: variable, flag } = settings[key];
  const [table, member] = settings[key].inFile ?? [];
  const line = table === undefined ? `${key}: ${inFile}` : `${table}: { ${member}: ${inFile} }`;
  const file = { "sessiond.yaml": line };
  // What a part of the summariser's settings needs beside it to be of use.
  const env = partners(key);

  test("comes from the flag before all else", async () => {
    const loaded = await load({
      flags: { [key]: typed },
      env: { ...env, [variable]: "wrong, and not read" },
      files: file,
    });
    expect(loaded.sources[key]).toEqual({ value: typedValue, from: `flag ${flag.split(" ")[0]}` });
    if (key in loaded.config) expect(loaded.config).toHaveProperty(key, typedValue);
  });

  test("comes from the environment before the file", async () => {
    const loaded = await load({ env: { ...env, [variable]: typed }, files: file });
    expect(loaded.sources[key]).toEqual({ value: typedValue, from: `env ${variable}` });
  });

  test("comes from the file before the default, also when a variable is empty", async () => {
    const loaded = await load({ env: { ...env, [variable]: "" }, files: file });
    expect(loaded.sources[key]).toEqual({ value: fileValue, from: "file sessiond.yaml" });
  });
});

function partners(key: string): Record<string, string> {
  if (!key.startsWith("summariser")) return {};
  return {
    ...(key !== "summariserUrl" && { SESSIOND_SUMMARISER_URL: "http://a" }),
    ...(key !== "summariserModel" && { SESSIOND_SUMMARISER_MODEL: "m" }),
    MY_KEY: "sk-mine",
    OTHER_KEY: "sk-other",
  };
}

describe("a bad value is refused with where it came from and what is right", () => {
  const form = '"host:port", "[ip6]:port" or a port';
  test.each<[string, Inputs, string]>([
    ["a word", { flags: { listen: "web" } }, `flag --listen is "web"; it must be ${form}`],
    [
      "a port too high",
      { env: { SESSIOND_LISTEN: "localhost:65536" } },
      `env SESSIOND_LISTEN is "localhost:65536"; it must be ${form}`,
    ],
    [
      "an address that is none",
      { files: { "sessiond.yaml": "listen: 127.0.0.256:80" } },
      `file sessiond.yaml has listen "127.0.0.256:80"; it must be ${form}`,
    ],
    [
      "no host before the colon",
      { flags: { probeListen: ":7378" } },
      `flag --probe-listen is ":7378"; it must be ${form}, or "off"`,
    ],
    [
      "IPv6 without brackets",
      { flags: { listen: "::1:80" } },
      `flag --listen is "::1:80"; it must be ${form}`,
    ],
    [
      "a long socket path",
      { flags: { unix: `/${"x".repeat(107)}` } },
      `flag --unix is "/${"x".repeat(107)}"; it must be a path of at most 107 bytes`,
    ],
    [
      "another engine",
      { env: { SESSIOND_STORE: "redis" } },
      'env SESSIOND_STORE is "redis"; it must be "lmdb" or "memory"',
    ],
    [
      "another level",
      { flags: { logLevel: "verbose" } },
      'flag --log-level is "verbose"; it must be one of trace, debug, info, warn, error, fatal, silent',
    ],
    [
      "a URL for a host",
      { flags: { allowHosts: ["http://a"] } },
      'flag --allow-host is ["http://a"]; it must be names such as "sessiond.internal", separated by commas, without scheme and path',
    ],
    [
      "an origin with a path",
      { env: { SESSIOND_ALLOW_ORIGINS: "http://a/b" } },
      'env SESSIOND_ALLOW_ORIGINS is "http://a/b"; it must be origins such as "http://localhost:5173", separated by commas, without path',
    ],
    [
      "every origin",
      { flags: { allowOrigins: ["*"] } },
      'flag --allow-origin is ["*"]; it must be origins such as "http://localhost:5173", separated by commas, without path',
    ],
    [
      "neither true nor false",
      { files: { "sessiond.json": '{"preloadTokenizer": 2}' } },
      "file sessiond.json has preloadTokenizer 2; it must be true or false",
    ],
    [
      "a size without sense",
      { flags: { maxMapSize: "64" } },
      'flag --max-map-size is "64"; it must be bytes, at least "1MiB", such as "64GiB"',
    ],
    [
      "a URL with a password",
      { env: { SESSIOND_SUMMARISER_URL: "https://u:p@a/v1" } },
      'env SESSIOND_SUMMARISER_URL is "https://u:p@a/v1"; it must be an http or https URL such as "https://api.openai.com/v1", without user and query',
    ],
    [
      "a URL of a file",
      { files: { "sessiond.yaml": "summariser: { url: file:///a }" } },
      'file sessiond.yaml has summariser.url "file:///a"; it must be an http or https URL such as "https://api.openai.com/v1", without user and query',
    ],
    [
      "a time without a unit",
      { flags: { summariserTimeout: "30" } },
      'flag --summariser-timeout is "30"; it must be a time from "1ms" to "10m"',
    ],
    [
      "a time too long",
      { flags: { summariserTimeout: "11m" } },
      'flag --summariser-timeout is "11m"; it must be a time from "1ms" to "10m"',
    ],
    [
      "no tokens",
      { flags: { summariserMaxTokens: "0" } },
      'flag --summariser-max-tokens is "0"; it must be a number from 1 to 1000000',
    ],
    [
      "a number for a folder",
      { files: { "sessiond.yaml": "data: 7" } },
      "file sessiond.yaml has data 7; it must be the path of a folder",
    ],
  ])("%s", async (_, given, expected) => {
    expect(await sentence(given)).toBe(expected);
  });
});

describe("the file", () => {
  test("may be JSON, and may be named by flag before variable", async () => {
    const files = { "a.json": '{"listen": 1, "unix": null}', "b.yaml": "listen: 2" };
    const env = { SESSIOND_CONFIG: "b.yaml" };
    expect((await load({ env, files })).config.listen.port).toBe(2);
    const loaded = await load({ flags: { config: "a.json" }, env, files });
    expect(loaded.sources.listen).toEqual({
      value: { host: "127.0.0.1", port: 1 },
      from: "file a.json",
    });
    expect(loaded.sources.unix.from).toBe("default");
  });

  test("gives paths from its own folder", async () => {
    const other = await mkdtemp(join(tmpdir(), "sessiond-config-"));
    onTestFinished(() => rm(other, { recursive: true }));
    await writeFile(join(other, "c.yaml"), "data: here\nunix: s");
    const { config } = await load({ flags: { config: join(other, "c.yaml") } });
    expect([config.data, config.unix]).toEqual([join(other, "here"), join(other, "s")]);
  });

  test("may be empty", async () => {
    expect((await load({ files: { "sessiond.yaml": "# nothing\n" } })).config.store).toBe("lmdb");
  });

  test.each<[string, Inputs, RegExp]>([
    [
      "an unknown key",
      { files: { "sessiond.yaml": "lisen: 1" } },
      /^file sessiond\.yaml has the unknown key "lisen"; known are listen, unix, /,
    ],
    [
      "a list",
      { files: { "sessiond.yaml": "- listen" } },
      /^file sessiond\.yaml must hold settings, each as "name: value"$/,
    ],
    [
      "broken YAML",
      { files: { "sessiond.yaml": "listen: [1" } },
      /^file sessiond\.yaml must be YAML or JSON: .+ at line 1, column 11$/,
    ],
    [
      "a missing file",
      { env: { SESSIOND_CONFIG: "no.yaml" } },
      /^file no\.yaml does not exist; name another with --config$/,
    ],
    [
      "a folder",
      { flags: { config: "." } },
      /^file \. cannot be read \(EISDIR\); it must be a readable file$/,
    ],
    [
      "two usual files",
      { files: { "sessiond.yaml": "", "sessiond.json": "" } },
      /^there are a sessiond\.yaml and a sessiond\.json; remove one, or name one with --config$/,
    ],
  ])("is refused in one sentence when it is %s", async (_, given, expected) => {
    expect(await sentence(given)).toMatch(expected);
  });
});

describe("an address other machines reach", () => {
  test.each(["0.0.0.0:7377", "[::]:7377", "192.168.1.5:1", "example.org:1", "127.evil.org:1"])(
    "is refused: %s",
    async (listen) => {
      expect(await sentence({ flags: { listen } })).toMatch(
        /^flag --listen lets other machines read and write .+ or add --dangerously-allow-remote$/,
      );
    },
  );

  test("is taken when the operator says so", async () => {
    const flags = { listen: "0.0.0.0:7377", dangerouslyAllowRemote: true };
    expect((await load({ flags })).config.listen.host).toBe("0.0.0.0");
  });

  test.each(["127.0.0.2:1", "localhost:1", "[::1]:1", "1"])("is not %s", async (listen) => {
    expect((await load({ flags: { listen } })).config.listen.port).toBe(1);
  });
});

describe("the summariser", () => {
  const endpoint = { SESSIOND_SUMMARISER_URL: "http://a/v1", SESSIOND_SUMMARISER_MODEL: "m" };

  test("is there when it has a url, with its defaults", async () => {
    expect((await load({})).config.summariser).toBeUndefined();
    expect((await load({ env: endpoint })).config.summariser).toEqual({
      url: "http://a/v1",
      model: "m",
      timeoutMs: 30_000,
      maxTokens: 4_096,
    });
  });

  test("has its key from the usual variable, from another, or in a file beside its own", async () => {
    const usual = { ...endpoint, SESSIOND_SUMMARISER_KEY: "sk-usual" };
    expect((await load({ env: usual })).config.summariser?.key?.reveal()).toBe("sk-usual");
    const other = { ...usual, SESSIOND_SUMMARISER_KEY_ENV: "MINE", MINE: "sk-mine" };
    expect((await load({ env: other })).config.summariser?.key?.reveal()).toBe("sk-mine");
    const files = { "sessiond.yaml": "summariser: { key_file: key }" };
    const { summariser } = (await load({ env: usual, files })).config;
    expect(summariser).toMatchObject({ keyFile: join(cwd, "key") });
    expect(summariser?.key).toBeUndefined();
  });

  test("has a key that is not shown", async () => {
    const loaded = await load({ env: { ...endpoint, SESSIOND_SUMMARISER_KEY: "sk-usual" } });
    const shown = `${inspect(loaded, { depth: 9, showHidden: true })}${JSON.stringify(loaded)}`;
    expect(shown).toContain("[secret]");
    expect(`${shown}${loaded.config.summariser?.key}`).not.toContain("sk-usual");
  });

  test.each<[string, Inputs, string]>([
    [
      "a model only",
      { env: { SESSIOND_SUMMARISER_MODEL: "m" } },
      "the summariser has no url; set --summariser-url too",
    ],
    [
      "a url only",
      { env: { SESSIOND_SUMMARISER_URL: "http://a" } },
      "the summariser has no model; set --summariser-model too",
    ],
    [
      "two keys",
      { env: endpoint, flags: { summariserKeyFile: "a", summariserKeyEnv: "B" } },
      "the summariser's key has both a file and a variable; name one of them",
    ],
    [
      "a variable that is not set",
      { env: endpoint, flags: { summariserKeyEnv: "B" } },
      "env B is not set; it must hold the summariser's key",
    ],
    [
      "an unknown key",
      { files: { "sessiond.yaml": "summariser: { key: sk-1 }" } },
      'file sessiond.yaml has the unknown key "summariser.key"; known are url, model, key_file, key_env, timeout, max_tokens',
    ],
    [
      "a text",
      { files: { "sessiond.yaml": "summariser: sk-1" } },
      "file sessiond.yaml has a summariser that is no table; it must hold url, model, key_file, key_env, timeout, max_tokens",
    ],
  ])("is refused in one sentence when it is %s", async (_, given, expected) => {
    expect(await sentence(given)).toBe(expected);
  });
});

describe("the tables of the file", () => {
  const file = (text: string) => ({ files: { "sessiond.yaml": text } });

  test("are rules for namespaces, and costs of models", async () => {
    const { config, tableSources } = await load(
      file(`
namespaces:
  clinic:
    protection_rules:
      - { expression: event.metadata.contains_phi == true, reason: protected_health_info }
  empty: {}
costs:
  gpt-4o: { input_per_1000: 0.0025 }
`),
    );
    const rule = {
      expression: "event.metadata.contains_phi == true",
      reason: "protected_health_info",
    };
    expect(config.namespaces).toEqual({
      clinic: { protectionRules: [rule] },
      empty: { protectionRules: [] },
    });
    expect(config.costs).toEqual({ "gpt-4o": { inputPer1000: 0.0025 } });
    expect(tableSources.namespaces.from).toBe("file sessiond.yaml");
  });

  test("are quotas of namespaces, in sizes and times", async () => {
    const { config } = await load(
      file(`
namespaces:
  "*": { quota: { active_sessions: 100 } }
  team-a: { quota: { active_sessions: 10, when_full: expire-longest-idle, min_idle: 2h, stored_bytes: 1GiB } }
`),
    );
    expect(config.namespaces?.["*"]?.quota).toEqual({
      activeSessions: 100,
      whenFull: "refuse",
      minIdleMs: 900_000,
    });
    expect(config.namespaces?.["team-a"]?.quota).toEqual({
      activeSessions: 10,
      whenFull: "expire-longest-idle",
      minIdleMs: 7_200_000,
      storedBytes: 2 ** 30,
    });
  });

  test("are labels that sessions are counted by", async () => {
    const { config, tableSources } = await load(file("metrics: { labels: [tier, region] }"));
    expect(config.metrics).toEqual({ labels: ["tier", "region"] });
    expect(tableSources.metrics.from).toBe("file sessiond.yaml");
  });

  test("are defaults of agents, in the words of the contract", async () => {
    const { config, tableSources } = await load(
      file(`
agents:
  ai-researcher:
    preset: execution
    model: gpt-5
    limits: { max_steps: 15, timeout: 180s }
    tools: [{ name: web_search }]
`),
    );
    expect(config.agents?.["ai-researcher"]).toMatchObject({
      preset: "execution",
      model: "gpt-5",
      limits: { maxSteps: 15, timeout: durationFromMs(180_000) },
      tools: [{ name: "web_search" }],
    });
    expect(tableSources.agents.value).toHaveProperty("ai-researcher.limits.timeout", "180s");
  });

  test("are absent without a file", async () => {
    const { config, tableSources } = await load({});
    expect([config.namespaces, config.costs]).toEqual([undefined, undefined]);
    expect(tableSources.costs).toEqual({ value: undefined, from: "default" });
  });

  test.each([
    ["namespaces: 3", /^file sessiond\.yaml is wrong at namespaces: must be a table$/],
    [
      "namespaces: { a b: {} }",
      /^file sessiond\.yaml is wrong at namespaces\.a b: its name must be "\*", or letters, digits, '\.', '_' and '-'$/,
    ],
    ["namespaces: { '': {} }", /: its name must have 1 to 64 bytes$/],
    [
      "namespaces: { a: { rules: [] } }",
      /is wrong at namespaces\.a: has the unknown key "rules"; known are protection_rules, quota$/,
    ],
    ["namespaces: { a: { protection_rules: 1 } }", /protection_rules: must be a list$/],
    [
      "namespaces: { a: { protection_rules: [{ expression: 'true' }] } }",
      /is wrong at namespaces\.a\.protection_rules\[0\]\.reason: is required; set it$/,
    ],
    [
      "namespaces: { a: { protection_rules: [{ expression: '', reason: r }] } }",
      /is wrong at namespaces\.a\.protection_rules\[0\]\.expression: must have 1 to 2048 bytes$/,
    ],
    [
      "namespaces: { a: { protection_rules: [{ expression: event.txt == '', reason: r }] } }",
      /^file sessiond\.yaml is wrong at namespaces\.a\.protection_rules\[0\]\.expression: does not compile at 1:6: an event has no "txt"/,
    ],
    ["costs: { m: { input_per_1000: -1 } }", /costs\.m\.input_per_1000: must be at least 0$/],
    ["costs: { m: { input_per_1000: free } }", /costs\.m\.input_per_1000: must be a number$/],
    ["costs: { m: 1 }", /is wrong at costs\.m: must be a table$/],
    ["metrics: { labels: tier }", /is wrong at metrics\.labels: must be a list$/],
    [
      "metrics: { labels: [a, b, c, d, e] }",
      /is wrong at metrics\.labels: names more than 4 labels; each is counted with every event, so leave some out$/,
    ],
    ["metrics: { labels: [a, a] }", /metrics\.labels: names a label twice; leave one out$/],
    ["metrics: { labels: [''] }", /metrics\.labels\[0\]: must have 1 to 63 bytes$/],
    ["metrics: { period: 7d }", /metrics: has the unknown key "period"; known are labels$/],
    ["agents: { a: 1 }", /is wrong at agents\.a: must be a table$/],
    [
      "agents: { a: { model: .nan } }",
      /is wrong at agents\.a\.model: must be a value that JSON has$/,
    ],
    ["namespaces: { a: { quota: 5 } }", /namespaces\.a\.quota: must be a table$/],
    [
      "namespaces: { a: { quota: { active_sessions: 0 } } }",
      /active_sessions: must be at least 1$/,
    ],
    [
      "namespaces: { a: { quota: { active_sessions: 1.5 } } }",
      /active_sessions: must be a whole number$/,
    ],
    [
      "namespaces: { a: { quota: { active_sessions: 1e30 } } }",
      /active_sessions: must be at most 9007199254740991$/,
    ],
    ...["20KiB", "much", "true", "1.5"].map((size): [string, RegExp] => [
      `namespaces: { a: { quota: { stored_bytes: ${size} } } }`,
      /quota\.stored_bytes: must be bytes, at least "1MiB", such as "64GiB"$/,
    ]),
    ...["soon", "15"].map((time): [string, RegExp] => [
      `namespaces: { a: { quota: { min_idle: ${time}, active_sessions: 1 } } }`,
      /quota\.min_idle: must be a time such as "15m" or "2h"$/,
    ]),
    [
      "namespaces: { a: { quota: { when_full: drop } } }",
      /quota\.when_full: must be "refuse" or "expire-longest-idle"$/,
    ],
    ...["{}", "{ when_full: refuse, min_idle: 1m }"].map((quota): [string, RegExp] => [
      `namespaces: { a: { quota: ${quota} } }`,
      /namespaces\.a\.quota: names no limit; set active_sessions, stored_bytes or both$/,
    ]),
    ["agents: { a: { limits: { steps: 3 } } }", /is wrong at agents\.a: .*"steps"/],
    [
      "agents: { a: { limits: { timeout: 3m } } }",
      /is wrong at agents\.a: "3m" is no time; write it in seconds, such as "180s"/,
    ],
    ["agents: { a: { limits: { timeout: 0s } } }", /is wrong at agents\.a: limits\.timeout: \S/],
    [
      "agents: { a: { preset: execution, limits: { max_steps: 0 } } }",
      /is wrong at agents\.a: limits\.max_steps: 0 would allow nothing; leave it out/,
    ],
    ["agents: { a: { preset: fast } }", /is wrong at agents\.a: preset: \S/],
    ["agents: { a: { sessionId: x } }", /is wrong at agents\.a: session_id cannot be a default/],
    ["agents: { a: { ephemeral: true } }", /is wrong at agents\.a: ephemeral cannot be a default/],
    ...["namespaces", "costs", "agents"].map((table): [string, RegExp] => [
      `${table}: { a: {}, __proto__: {} }`,
      new RegExp(
        `is wrong at ${table}\\.__proto__: is a name that cannot be used; choose another$`,
      ),
    ]),
    [
      "agents: { a: { labels: { __proto__: x } } }",
      /is wrong at agents\.a\.labels\.__proto__: is a name that cannot be used; choose another$/,
    ],
    ["agents: { a: { uid: x } }", /is wrong at agents\.a: uid: \S/],
    [
      "agents: { a: { contextPolicy: { protectionRules: [{ expression: '1 +', reason: r }] } } }",
      /is wrong at agents\.a: context_policy\.protection_rules\[0\]\.expression: does not compile/,
    ],
  ])("are refused in one sentence when they are wrong: %s", async (text, expected) => {
    expect(await sentence(file(text))).toMatch(expected);
  });
});
