/**
 * Byte keys in their order.
 *
 * A sorted array: looking up takes the logarithm of its size, adding behind the last key constant
 * time, adding elsewhere one move of the pointers behind the place.
 */
export class OrderedKeys {
  /** Latin-1 texts: one character per byte, so texts compare as the bytes do. */
  readonly #keys: string[] = [];

  add(key: Uint8Array): void {
    const text = textOf(key);
    const at = this.#firstFrom(text);
    if (this.#keys[at] !== text) this.#keys.splice(at, 0, text);
  }

  delete(key: Uint8Array): void {
    const text = textOf(key);
    const at = this.#firstFrom(text);
    if (this.#keys[at] === text) this.#keys.splice(at, 1);
  }

  /** Keys from `start` up to but without `end`; in reverse the same ones from the other side. */
  *range(args: { start: Uint8Array; end: Uint8Array; reverse?: boolean }): Generator<Buffer> {
    const from = this.#firstFrom(textOf(args.start));
    const to = this.#firstFrom(textOf(args.end));
    for (let i = 0; i < to - from; i++) {
      const key = this.#keys[args.reverse === true ? to - 1 - i : from + i];
      if (key === undefined) return;
      yield Buffer.from(key, "latin1");
    }
  }

  /** Every key that is not before `start`. */
  *from(start: Uint8Array): Generator<Buffer> {
    for (let at = this.#firstFrom(textOf(start)); at < this.#keys.length; at++) {
      yield Buffer.from(this.#keys[at] ?? "", "latin1");
    }
  }

  /** Every key, from the first. */
  *all(): Generator<Buffer> {
    for (const key of this.#keys) yield Buffer.from(key, "latin1");
  }

  /** Place of the first key that is not before the text. */
  #firstFrom(text: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const key = this.#keys[middle];
      if (key !== undefined && key < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}
