/**
 * Makes the ids of tool calls unique in a session. Some recordings use `call_1` again in every
 * turn; the second use becomes `call_1#2`, and a result belongs to the newest call of its id.
 */
export class CallIds {
  readonly #uses = new Map<string, number>();

  /** Id of a new call. */
  call(id: string): string {
    const uses = (this.#uses.get(id) ?? 0) + 1;
    this.#uses.set(id, uses);
    return withUse(id, uses);
  }

  /** Id of the call a result answers. */
  result(id: string): string {
    return withUse(id, this.#uses.get(id) ?? 1);
  }
}

function withUse(id: string, uses: number): string {
  return uses === 1 ? id : `${id}#${uses}`;
}
