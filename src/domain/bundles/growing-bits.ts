/** Whether something is true of a revision, one bit for each. Revision r stands at r - 1. */
export class GrowingBits {
  #bytes = new Uint8Array(128);
  #length = 0;

  push(isSet: boolean): void {
    const at = this.#length++;
    if (at >>> 3 === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    if (isSet) this.#bytes[at >>> 3] = (this.#bytes[at >>> 3] ?? 0) | (1 << (at & 7));
  }

  /** Of a revision that is not there: false. */
  has(revision: number): boolean {
    const at = revision - 1;
    return at >= 0 && at < this.#length && ((this.#bytes[at >>> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }
}
