import type { JsonObject } from "@bufbuild/protobuf";
import type { Session } from "@sessiond/contract";
import * as z from "zod";
import { parseAgent } from "./config-agents.ts";
import type { ConfigFile } from "./config-file.ts";
import { readSinks, type SinkConfig, type Surroundings } from "./config-sinks.ts";
import { pathOf, take } from "./config-take.ts";
import { byteSize, span } from "./config-values.ts";
import type { Quota } from "./domain/quotas/quota.ts";
import { InvalidFieldError, StartError } from "./errors.ts";
import { limits } from "./limits.ts";

/** What an operator decides for one namespace. */
export interface NamespaceConfig {
  /** Rules that protect events of its sessions, beside those of their own policies. */
  readonly protectionRules: readonly { readonly expression: string; readonly reason: string }[];
  /** What it may have. Absent: anything. */
  readonly quota?: Quota;
}

/** What a model costs. */
export interface ModelCost {
  /** Price of 1,000 input tokens, in the operator's currency. */
  readonly inputPer1000: number;
}

/** What is counted beside what always is. */
export interface MetricsConfig {
  /** Keys of the labels by whose values sessions are counted. */
  readonly labels: readonly string[];
}

/** The parts of a configuration that are tables, and stand in the file only. */
export interface ConfigTables {
  /** By the name of the namespace; `*` is for those that have no entry of their own. */
  readonly namespaces?: Readonly<Record<string, NamespaceConfig>>;
  /** By the beginning of the model's name; the longest that fits decides. */
  readonly costs?: Readonly<Record<string, ModelCost>>;
  /** What new sessions of an agent have unless they say otherwise, by agent id. */
  readonly agents?: Readonly<Record<string, Session>>;
  /** Where events are sent, by the name of the sink. */
  readonly sinks?: Readonly<Record<string, SinkConfig>>;
  /** For aggregates over sessions. */
  readonly metrics?: MetricsConfig;
}

const bytes = (most: number) =>
  z.string().refine((text) => text !== "" && Buffer.byteLength(text) <= most, {
    error: `must have 1 to ${most} bytes`,
  });

const rule = z.strictObject({
  expression: bytes(limits.ruleBytes),
  reason: bytes(limits.kindBytes),
});

const quota = z
  .strictObject({
    active_sessions: z.int().min(1).optional(),
    stored_bytes: byteSize,
    when_full: z.enum(["refuse", "expire-longest-idle"]).default("refuse"),
    min_idle: span.default(900_000),
  })
  .refine((quota) => quota.active_sessions !== undefined || quota.stored_bytes !== undefined, {
    error: "names no limit; set active_sessions, stored_bytes or both",
  })
  .transform(
    ({ active_sessions, stored_bytes, when_full, min_idle }): Quota => ({
      whenFull: when_full,
      minIdleMs: min_idle,
      ...(active_sessions !== undefined && { activeSessions: active_sessions }),
      ...(stored_bytes !== undefined && { storedBytes: stored_bytes }),
    }),
  );

const tables = {
  namespaces: z.record(
    bytes(limits.namespaceBytes).regex(/^([A-Za-z0-9._-]+|\*)$/, {
      error: `must be "*", or letters, digits, '.', '_' and '-'`,
    }),
    z
      .strictObject({ protection_rules: z.array(rule).default([]), quota: quota.optional() })
      .transform(
        ({ protection_rules, quota }): NamespaceConfig => ({
          protectionRules: protection_rules,
          ...(quota && { quota }),
        }),
      ),
  ),
  costs: z.record(
    bytes(limits.idBytes),
    z
      .strictObject({ input_per_1000: z.number().nonnegative() })
      .transform(({ input_per_1000 }): ModelCost => ({ inputPer1000: input_per_1000 })),
  ),
  agents: z.record(bytes(limits.idBytes), z.record(z.string(), z.json())),
  metrics: z.strictObject({
    labels: z
      .array(bytes(limits.labelKeyBytes))
      .max(limits.metricLabels, {
        error: `names more than ${limits.metricLabels} labels; each is counted with every event, so leave some out`,
      })
      .refine((labels) => new Set(labels).size === labels.length, {
        error: "names a label twice; leave one out",
      })
      .default([]),
  }),
};

/** Keys of the file that hold tables. */
export const tableKeys = [...Object.keys(tables), "sinks"];

/**
 * Takes the tables from the file and compiles the rules in them, so that a wrong one is found at the
 * start. Tables that the file does not have are left out.
 *
 * Errors: StartError, one sentence that names the place.
 */
export async function readTables(
  file: ConfigFile | undefined,
  around: Surroundings,
): Promise<ConfigTables> {
  if (file === undefined) return {};
  const namespaces = take(file, "namespaces", tables.namespaces);
  const costs = take(file, "costs", tables.costs);
  for (const [name, { protectionRules }] of Object.entries(namespaces ?? {})) {
    if (protectionRules.length > 0) await compile({ file, name, protectionRules });
  }
  const agents = await parseAgents(file);
  const sinks = await readSinks(file, around);
  const metrics = take(file, "metrics", tables.metrics);
  return {
    ...(namespaces && { namespaces }),
    ...(costs && { costs }),
    ...(agents && { agents }),
    ...(sinks && { sinks }),
    ...(metrics && { metrics }),
  };
}

async function parseAgents(file: ConfigFile): Promise<Record<string, Session> | undefined> {
  const given = take(file, "agents", tables.agents);
  if (given === undefined) return undefined;
  const agents = new Map<string, Session>();
  for (const [agentId, json] of Object.entries(given)) {
    const agent = await parseAgent(json as JsonObject);
    if (typeof agent === "string") {
      throw new StartError(
        `file ${file.name} is wrong at ${pathOf(["agents", agentId])}: ${agent}`,
      );
    }
    agents.set(agentId, agent);
  }
  return Object.fromEntries(agents);
}

async function compile(
  args: { file: ConfigFile; name: string } & Pick<NamespaceConfig, "protectionRules">,
): Promise<void> {
  // Only here: a start without rules does not pay for the compiler.
  const { compileRules } = await import("./domain/protection/rules.ts");
  try {
    compileRules(args.protectionRules, pathOf(["namespaces", args.name, "protection_rules"]));
  } catch (error) {
    if (!(error instanceof InvalidFieldError)) throw error;
    throw new StartError(`file ${args.file.name} is wrong at ${error.message}`, error);
  }
}
