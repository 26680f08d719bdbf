import type * as z from "zod";
import type { ConfigFile } from "./config-file.ts";
import { wordsOf } from "./config-issues.ts";
import { StartError } from "./errors.ts";

/** A table of the file; undefined when it has none of that name. Errors: StartError, with the place. */
export function take<T>(file: ConfigFile, key: string, schema: z.ZodType<T>): T | undefined {
  const value = file.content[key];
  if (value === undefined || value === null) return undefined;
  const proto = protoIn(value, [key]);
  if (proto !== undefined) {
    throw new StartError(
      `file ${file.name} is wrong at ${pathOf(proto)}: is a name that cannot be used; choose another`,
    );
  }
  const parsed = schema.safeParse(value, { error: wordsOf });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new StartError(
    `file ${file.name} is wrong at ${pathOf([key, ...(issue?.path ?? [])])}: ${issue?.message ?? "unknown"}`,
    parsed.error,
  );
}

/**
 * Path of a key `__proto__`, if there is one: the parsers keep it, and all who copy the table drop it
 * without a word. A file can hold a value within itself, so each is looked at once.
 */
function protoIn(
  value: unknown,
  path: readonly PropertyKey[],
  seen = new Set<unknown>(),
): readonly PropertyKey[] | undefined {
  if (typeof value !== "object" || value === null || seen.has(value)) return undefined;
  seen.add(value);
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(name) : name];
    const found = name === "__proto__" ? place : protoIn(member, place, seen);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A place in a file as one would write it: `sinks.hook.namespaces[1]`. */
export function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((before, part) => {
    if (typeof part === "number") return `${before}[${part}]`;
    return before === "" ? String(part) : `${before}.${String(part)}`;
  }, "");
}
