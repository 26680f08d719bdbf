import { createHash } from "node:crypto";

/** The name of a tool where letters, digits, `_` and `-` are legal, up to 64 of them. */
export function toolName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64) || "tool";
}

/** Whether a name is legal as it is. */
export function isLegalName(name: string): boolean {
  return /^[a-zA-Z0-9_-]{1,64}$/.test(name);
}

/**
 * Ids of the calls in one request: legal, and each given once.
 *
 * A legal id stays as it is when it comes first. One that is too long, has other characters or was
 * given before is replaced by a short one made from it and the number of its use, so that the
 * beginning of a request is the same whatever follows.
 */
export class CallIds {
  readonly #maxLength: number;
  readonly #given = new Set<string>();
  readonly #uses = new Map<string, number>();

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** The id of the next call; its result has the same. */
  give(id: string): string {
    let given = id;
    while (!this.#isFree(given)) {
      const use = (this.#uses.get(id) ?? 0) + 1;
      this.#uses.set(id, use);
      given = `call_${createHash("sha256").update(`${use} ${id}`).digest("hex").slice(0, 24)}`;
    }
    this.#given.add(given);
    return given;
  }

  #isFree(id: string): boolean {
    return id.length <= this.#maxLength && /^[a-zA-Z0-9_-]+$/.test(id) && !this.#given.has(id);
  }
}
