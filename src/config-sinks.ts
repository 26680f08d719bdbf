import { resolve } from "node:path";
import * as z from "zod";
import type { ConfigFile } from "./config-file.ts";
import {
  isPrivate,
  OtlpIssue,
  type OtlpReceiverConfig,
  otlpFields,
  readOtlp,
} from "./config-otlp.ts";
import { Secret } from "./config-summariser.ts";
import { pathOf, take } from "./config-take.ts";
import { byteSize, duration, path, span, variableName } from "./config-values.ts";
import { InvalidFieldError, StartError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { RedactionConfig } from "./sinks/redaction/redaction.ts";

/** What an operator decides for every sink. */
interface AnySink {
  /** Events it gets: an expression in CEL over `event`; empty: all. */
  readonly filter: string;
  /** Namespaces it is for. Absent: all. */
  readonly namespaces?: readonly string[];
  /** Whether it is told of deletions and damage. Absent: unless it has a filter. */
  readonly deletions?: boolean;
  readonly redaction: RedactionConfig;
}

/** Lines of JSON on stdout. */
export interface StdoutSinkConfig extends AnySink {
  readonly type: "stdout";
}

/** Lines of JSON in a file. */
export interface FileSinkConfig extends AnySink {
  readonly type: "file";
  /** Absolute. */
  readonly path: string;
  readonly maxBytes: number;
  readonly maxAgeMs?: number;
  /** Files kept beside the one that is written. */
  readonly keep: number;
}

/** Batches posted to a URL. */
export interface WebhookSinkConfig extends AnySink {
  readonly type: "webhook";
  readonly url: string;
  /** Absolute path of the file with the key that requests are signed with. */
  readonly keyFile?: string;
  /** That key, from the environment. Neither: requests are not signed. */
  readonly key?: Secret;
  readonly timeoutMs: number;
  /** Absolute path of the file for what the receiver will never take. Absent: one in the data folder. */
  readonly deadLetters?: string;
}

/** Log records and traces for a receiver of OTLP. */
export interface OtlpSinkConfig extends AnySink {
  readonly type: "otlp";
  readonly receiver: OtlpReceiverConfig;
  /** As of a webhook. */
  readonly deadLetters?: string;
}

/** Where events are sent, and which. */
export type SinkConfig = StdoutSinkConfig | FileSinkConfig | WebhookSinkConfig | OtlpSinkConfig;

/** What else a configuration is made of. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where paths of the file start. */
  readonly folder: string;
}

const text = (most: number) =>
  z.string().refine((value) => value !== "" && Buffer.byteLength(value) <= most, {
    error: `must have 1 to ${most} bytes`,
  });

/** What all sinks have; content leaves the machine only where somebody has said so. */
const common = (content: boolean) => ({
  filter: text(limits.ruleBytes).optional(),
  namespaces: z
    .array(text(limits.namespaceBytes))
    .min(1, { error: "must not be empty; leave it out for all namespaces" })
    .optional(),
  deletions: z.boolean().optional(),
  content: z.boolean().default(content),
  redact: z
    .strictObject({
      fields: z.array(text(limits.sinkPatternLength)).max(limits.sinkRedactions).default([]),
      patterns: z.array(text(limits.sinkPatternLength)).max(limits.sinkRedactions).default([]),
    })
    .default({ fields: [], patterns: [] }),
});

const hookUrl = z.string().refine(
  (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const isPlain = url?.username === "" && url.password === "" && !/[#\s]/.test(value);
    return isPlain && ["http:", "https:"].includes(url.protocol);
  },
  { error: "must be an http or https URL, without user and fragment" },
);

/** A receiver over HTTP: what it is sent could be read on the way, unless that stays on this machine. */
const receiver = {
  url: hookUrl,
  allow_plain_http: z.boolean().default(false),
  key_file: path.optional(),
  key_env: variableName.optional(),
  timeout: duration.default(limits.webhookTimeoutMs),
  dead_letters: path.optional(),
};

const variants = {
  stdout: z.strictObject({ type: z.literal("stdout"), ...common(true) }),
  file: z.strictObject({
    type: z.literal("file"),
    path,
    max_bytes: byteSize.default(100 * 1024 ** 2),
    max_age: span.refine((ms) => ms >= 1_000, { error: 'must be at least "1s"' }).optional(),
    keep: z.int().min(0).max(10_000).default(10),
    ...common(true),
  }),
  webhook: z.strictObject({ type: z.literal("webhook"), ...receiver, ...common(false) }),
  otlp: z.strictObject({
    type: z.literal("otlp"),
    ...otlpFields,
    dead_letters: path.optional(),
    ...common(false),
  }),
};

const types = Object.keys(variants);

const table = z.record(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$/, {
    error: "must be 1 to 50 letters, digits, '_' and '-', the first a letter or digit",
  }),
  z.discriminatedUnion("type", [variants.stdout, variants.file, variants.webhook, variants.otlp], {
    error: (issue) =>
      issue.code === "invalid_union"
        ? `must be ${types.map((type) => `"${type}"`).join(" or ")}`
        : undefined,
  }),
);

type Given = z.infer<typeof table>[string];

/** Says what is wrong with a sink, and where. */
class WrongPlace extends Error {
  readonly place: readonly PropertyKey[];

  constructor(place: readonly PropertyKey[], what: string) {
    super(what);
    this.place = place;
  }
}

/**
 * Takes the sinks from the file, with everything in them that can be wrong. Undefined: it has none.
 *
 * Errors: StartError, one sentence that names the place.
 */
export async function readSinks(
  file: ConfigFile,
  around: Surroundings,
): Promise<Record<string, SinkConfig> | undefined> {
  const given = take(file, "sinks", table);
  if (given === undefined) return undefined;
  try {
    if (Object.keys(given).length > limits.sinks) {
      throw new WrongPlace([], `has more than ${limits.sinks} sinks`);
    }
    const sinks = new Map<string, SinkConfig>();
    for (const [name, sink] of Object.entries(given)) {
      await check(name, sink);
      sinks.set(name, await toConfig(name, sink, around));
    }
    checkOutputs(sinks);
    return Object.fromEntries(sinks);
  } catch (error) {
    if (!(error instanceof WrongPlace)) throw error;
    const place = pathOf(["sinks", ...error.place]);
    throw new StartError(`file ${file.name} is wrong at ${place}: ${error.message}`, error);
  }
}

/** The sink of `--sink-stdout` beside those of the file. Errors: StartError. */
export function withStdout(
  isWanted: boolean,
  sinks: Readonly<Record<string, SinkConfig>> | undefined,
  from: string,
): Readonly<Record<string, SinkConfig>> | undefined {
  if (!isWanted) return sinks;
  const others = Object.entries(sinks ?? {});
  const twin = others.find(([name, { type }]) => type === "stdout" || name === "stdout");
  if (twin !== undefined) {
    throw new StartError(`${from} and sinks.${twin[0]} are both for stdout; leave one out`);
  }
  const redaction = { content: true, fields: [], patterns: [] };
  return { ...sinks, stdout: { type: "stdout", filter: "", redaction } };
}

/** The table as the file has it, without what may be secret: paths of URLs, headers. */
export function shownSinks(table: unknown): unknown {
  if (typeof table !== "object" || table === null) return table;
  return Object.fromEntries(
    Object.entries(table).map(([name, sink]) => [name, { ...sink, ...withoutSecrets(sink) }]),
  );
}

function withoutSecrets({
  url,
  endpoint,
  headers,
}: {
  url?: unknown;
  endpoint?: unknown;
  headers?: unknown;
}): object {
  const shown = (text: unknown) =>
    typeof text === "string" && URL.canParse(text) ? `${new URL(text).origin}/…` : text;
  return {
    ...(url !== undefined && { url: shown(url) }),
    ...(endpoint !== undefined && { endpoint: shown(endpoint) }),
    ...(headers !== undefined && { headers: "[secret]" }),
  };
}

/** What is compiled at the start, so that a mistake is found there. */
async function check(name: string, given: Given): Promise<void> {
  const { filter = "", redact } = given;
  const { fields, patterns } = redact;
  // Each only here: a start without them does not pay for them.
  if (filter !== "") {
    const { eventFilterOf } = await import("./domain/filter/event-filter-of.ts");
    try {
      await eventFilterOf(filter);
    } catch (error) {
      if (!(error instanceof InvalidFieldError)) throw error;
      throw new WrongPlace([name, "filter"], error.violations[0]?.description ?? error.message);
    }
  }
  if (fields.length > 0) {
    const { compileFieldPath, FieldPathError } = await import("./sinks/redaction/field-paths.ts");
    for (const [index, field] of fields.entries()) {
      const place = [name, "redact", "fields", index];
      attempt(place, FieldPathError, () => compileFieldPath(field));
    }
  }
  if (patterns.length > 0) {
    const { compilePattern, PatternError } = await import("./sinks/redaction/patterns.ts");
    for (const [index, pattern] of patterns.entries()) {
      const place = [name, "redact", "patterns", index];
      attempt(place, PatternError, () => compilePattern(pattern));
    }
  }
}

/** Errors: WrongPlace for those of the kind. */
function attempt(
  place: readonly PropertyKey[],
  kind: new (...args: never[]) => Error,
  work: () => unknown,
): void {
  try {
    work();
  } catch (error) {
    throw error instanceof kind ? new WrongPlace(place, error.message) : error;
  }
}

async function toConfig(
  name: string,
  given: Given,
  { env, folder }: Surroundings,
): Promise<SinkConfig> {
  const { filter = "", namespaces, deletions, content, redact } = given;
  const common: AnySink = {
    filter,
    ...(namespaces && { namespaces }),
    ...(deletions !== undefined && { deletions }),
    redaction: { content, ...redact },
  };
  switch (given.type) {
    case "stdout":
      return { type: "stdout", ...common };
    case "file":
      return {
        type: "file",
        path: resolve(folder, given.path),
        maxBytes: given.max_bytes,
        ...(given.max_age !== undefined && { maxAgeMs: given.max_age }),
        keep: given.keep,
        ...common,
      };
    case "webhook": {
      const { url, dead_letters: deadLetters } = given;
      if (!isPrivate(url) && !given.allow_plain_http) {
        throw new WrongPlace(
          [name, "url"],
          "is http to another machine, where others can read the events; use https, or set allow_plain_http",
        );
      }
      return {
        type: "webhook",
        url,
        ...keyOf(name, given, { env, folder }),
        timeoutMs: given.timeout,
        ...(deadLetters !== undefined && { deadLetters: resolve(folder, deadLetters) }),
        ...common,
      };
    }
    case "otlp": {
      const { type, dead_letters: deadLetters } = given;
      return {
        type,
        receiver: await otlpReceiver(name, given, env),
        ...(deadLetters !== undefined && { deadLetters: resolve(folder, deadLetters) }),
        ...common,
      };
    }
  }
}

/** Errors: WrongPlace. */
async function otlpReceiver(
  name: string,
  given: Given & { type: "otlp" },
  env: Surroundings["env"],
): Promise<OtlpReceiverConfig> {
  try {
    return await readOtlp(given, env);
  } catch (error) {
    if (!(error instanceof OtlpIssue)) throw error;
    throw new WrongPlace(error.field === undefined ? [name] : [name, error.field], error.message);
  }
}

/** The key of a receiver. Errors: WrongPlace. */
function keyOf(
  name: string,
  {
    key_file: keyFile,
    key_env: keyEnv,
  }: { key_file?: string | undefined; key_env?: string | undefined },
  { env, folder }: Surroundings,
): { readonly keyFile?: string; readonly key?: Secret } {
  if (keyFile !== undefined && keyEnv !== undefined) {
    throw new WrongPlace([name, "key_env"], "is not together with key_file; name one of them");
  }
  if (keyFile !== undefined) return { keyFile: resolve(folder, keyFile) };
  if (keyEnv === undefined) return {};
  const key = env[keyEnv];
  if (!key) throw new WrongPlace([name, "key_env"], `the variable ${keyEnv} is not set`);
  return { key: new Secret(key) };
}

/** Two sinks in one place would write into each other's lines. Errors: WrongPlace. */
function checkOutputs(sinks: ReadonlyMap<string, SinkConfig>): void {
  const names = new Map<string, string>();
  for (const [name, sink] of sinks) {
    if (sink.type !== "stdout" && sink.type !== "file") continue;
    const output = sink.type === "file" ? sink.path : "";
    const other = names.get(output);
    if (other !== undefined) {
      throw new WrongPlace([name], `writes where sinks.${other} writes; leave one out`);
    }
    names.set(output, name);
  }
}
