import { z } from "zod";
import type { ConfigFile } from "./config-file.ts";
import { InvalidFieldError, StartError } from "./errors.ts";
import { limits } from "./limits.ts";

/** What an operator decides for one namespace. */
export interface NamespaceConfig {
  /** Rules that protect events of its sessions, beside those of their own policies. */
  readonly protectionRules: readonly { readonly expression: string; readonly reason: string }[];
}

/** What a model costs. */
export interface ModelCost {
  /** Price of 1,000 input tokens, in the operator's currency. */
  readonly inputPer1000: number;
}

/** The parts of a configuration that are tables, and stand in the file only. */
export interface ConfigTables {
  /** By the name of the namespace. */
  readonly namespaces?: Readonly<Record<string, NamespaceConfig>>;
  /** By the beginning of the model's name; the longest that fits decides. */
  readonly costs?: Readonly<Record<string, ModelCost>>;
}

const bytes = (most: number) =>
  z.string().refine((text) => text !== "" && Buffer.byteLength(text) <= most, {
    error: `must have 1 to ${most} bytes`,
  });

const rule = z.strictObject({
  expression: bytes(limits.ruleBytes),
  reason: bytes(limits.kindBytes),
});

const tables = {
  namespaces: z.record(
    bytes(limits.namespaceBytes).regex(/^[A-Za-z0-9._-]+$/),
    z
      .strictObject({ protection_rules: z.array(rule).default([]) })
      .transform(
        ({ protection_rules }): NamespaceConfig => ({ protectionRules: protection_rules }),
      ),
  ),
  costs: z.record(
    bytes(limits.idBytes),
    z
      .strictObject({ input_per_1000: z.number().nonnegative() })
      .transform(({ input_per_1000 }): ModelCost => ({ inputPer1000: input_per_1000 })),
  ),
};

/** Keys of the file that hold tables. */
export const tableKeys = Object.keys(tables);

/**
 * Takes the tables from the file and compiles the rules in them, so that a wrong one is found at the
 * start. Tables that the file does not have are left out.
 *
 * Errors: StartError, one sentence that names the place.
 */
export async function readTables(file: ConfigFile | undefined): Promise<ConfigTables> {
  if (file === undefined) return {};
  const namespaces = take(file, "namespaces", tables.namespaces);
  const costs = take(file, "costs", tables.costs);
  for (const [name, { protectionRules }] of Object.entries(namespaces ?? {})) {
    if (protectionRules.length > 0) await compile({ file, name, protectionRules });
  }
  return { ...(namespaces && { namespaces }), ...(costs && { costs }) };
}

function take<T>(file: ConfigFile, key: string, schema: z.ZodType<T>): T | undefined {
  const value = file.content[key];
  if (value === undefined || value === null) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new StartError(
    `file ${file.name} is wrong at ${pathOf([key, ...(issue?.path ?? [])])}: ${issue?.message ?? "unknown"}`,
    parsed.error,
  );
}

async function compile(args: { file: ConfigFile; name: string } & NamespaceConfig): Promise<void> {
  // Only here: a start without rules does not pay for the compiler.
  const { compileRules } = await import("./domain/protection/rules.ts");
  try {
    compileRules(args.protectionRules, pathOf(["namespaces", args.name, "protection_rules"]));
  } catch (error) {
    if (!(error instanceof InvalidFieldError)) throw error;
    throw new StartError(`file ${args.file.name} is wrong at ${error.message}`, error);
  }
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((before, part) => {
    if (typeof part === "number") return `${before}[${part}]`;
    return before === "" ? String(part) : `${before}.${String(part)}`;
  }, "");
}
