import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { InvalidFieldError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { changedBy } from "../state/decision.ts";
import { type ScopedPatch, scopedPatch } from "../state/keys.ts";
import { asObject } from "../state/values.ts";
import { structSize } from "../validation/json.ts";

/**
 * Follows the state of a session through its log, as far as it is the session's own: what users and
 * namespaces share is not a part of any session. A patch takes as long as it is large.
 */
export class ReplayedState {
  readonly #entries = new Map<string, { readonly value: JsonValue; readonly bytes: number }>();
  #bytes = 0;

  get values(): JsonObject {
    return asObject([...this.#entries].map(([name, { value }]) => [name, value] as const));
  }

  /** What is wrong with the next patch; undefined: nothing. */
  follow(recorded: JsonObject): string | undefined {
    const patch = taken(recorded);
    if (typeof patch === "string") return patch;
    if (patch.temp.size > 0) return "its patch has temp: keys, which are not stored";
    if (changedBy(patch).length === 0) return "its patch is empty";
    for (const [name, value] of patch.session) {
      this.#bytes -= this.#entries.get(name)?.bytes ?? 0;
      this.#entries.delete(name);
      if (value === null) continue;
      const bytes = structSize(asObject([[name, value]]));
      this.#entries.set(name, { value, bytes });
      this.#bytes += bytes;
    }
    const limit = limits.stateScopeBytes;
    return this.#bytes > limit
      ? `the state has ${this.#bytes} bytes then, the limit is ${limit}`
      : undefined;
  }
}

function taken(patch: JsonObject): ScopedPatch | string {
  try {
    return scopedPatch(patch);
  } catch (error) {
    if (error instanceof InvalidFieldError) return error.message;
    throw error;
  }
}
