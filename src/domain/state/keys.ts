import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type FieldViolation, InvalidFieldError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { printable } from "../validation/rules.ts";
import { checkText } from "../validation/values.ts";

/** Where a key of the state lives; "temp" is nowhere but in the answer. */
export type ScopeName = "session" | "user" | "app" | "temp";

/** What keys of a scope begin with. */
export const prefixOf = {
  session: "",
  user: "user:",
  app: "app:",
  temp: "temp:",
} as const satisfies Record<ScopeName, string>;

/** A patch by scope: new values by name, without the prefix; null removes. */
export type ScopedPatch = Readonly<Record<ScopeName, ReadonlyMap<string, JsonValue>>>;

const prefixed = ["user", "app", "temp"] as const;
const reserved = ["sessiond:", "__proto__"] as const;
const nameRule = { maxBytes: limits.idBytes, pattern: printable };
/** Wrong keys reported at once; a caller with more has a systematic mistake. */
const maxViolations = 16;

/**
 * Takes a patch apart. Pure.
 *
 * Errors: InvalidFieldError, with every key that is wrong; nothing is guessed.
 */
export function scopedPatch(patch: JsonObject): ScopedPatch {
  const entries = Object.entries(patch);
  if (entries.length > limits.statePatchKeys) {
    throw new InvalidFieldError({
      field: "patch",
      description: `has ${entries.length} keys, the limit is ${limits.statePatchKeys}; send fewer`,
    });
  }
  const scopes = {
    session: new Map<string, JsonValue>(),
    user: new Map<string, JsonValue>(),
    app: new Map<string, JsonValue>(),
    temp: new Map<string, JsonValue>(),
  };
  const violations: FieldViolation[] = [];
  for (const [key, value] of entries) {
    const { scope, name } = partsOf(key);
    const description = wrongWith(key, scope, name);
    if (description === undefined) scopes[scope].set(name, value);
    else violations.push({ field: fieldOf(key), description });
  }
  const [first, ...more] = violations.slice(0, maxViolations);
  if (first !== undefined) throw new InvalidFieldError(first, ...more);
  return scopes;
}

/** Path of a key in a request. */
export function fieldOf(key: string): string {
  return `patch[${JSON.stringify(key.slice(0, 40).toWellFormed())}]`;
}

function partsOf(key: string): { scope: ScopeName; name: string } {
  const scope = prefixed.find((candidate) => key.startsWith(prefixOf[candidate])) ?? "session";
  return { scope, name: key.slice(prefixOf[scope].length) };
}

/** What is wrong with a key, and what to do; undefined: nothing. */
function wrongWith(key: string, scope: ScopeName, name: string): string | undefined {
  if (name === "") return `needs a name${scope === "session" ? "" : ` behind "${key}"`}`;
  const prefix = reserved.find((word) => name.startsWith(word));
  if (prefix !== undefined) return `names that begin with "${prefix}" are reserved; use another`;
  if (scope === "session") {
    const misspelt = misspeltScope(name);
    if (misspelt !== undefined) return misspelt;
  }
  let wrong: string | undefined;
  checkText(name, nameRule, key, (_, description) => {
    wrong ??= `its name ${description}`;
  });
  return wrong;
}

/**
 * Keys that mean another scope than they would get. Stored in the session under the whole key they
 * would look right to who wrote them, and be missing everywhere else.
 */
function misspeltScope(name: string): string | undefined {
  const colon = name.indexOf(":");
  if (colon === -1) return undefined;
  const word = name.slice(0, colon).trim().toLowerCase();
  if (word === "session") return "keys of the session have no prefix; leave it out";
  const scope = prefixed.find((candidate) => candidate === word);
  return scope && `the prefix is written "${prefixOf[scope]}"; write it so, or use another name`;
}
