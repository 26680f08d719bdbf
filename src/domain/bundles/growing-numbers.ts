/** Numbers below 2^32, one for each revision, four bytes each. Revision r stands at r - 1. */
export class GrowingNumbers {
  #numbers = new Uint32Array(1_024);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.#length++] = value;
  }

  /** Of a revision that is not there: 0. */
  at(revision: number): number {
    return revision > this.#length ? 0 : (this.#numbers[revision - 1] ?? 0);
  }
}
