const uidBytes = 16;
const firstCapacity = 1_024;
/** Bits of what is noted of a session. */
const named = 1;
const begins = 2;

/**
 * The uids of a store in few bytes: 16 for each, and 9 for what is to be known of it.
 *
 * They are added in their order, which is that of the table of heads.
 */
export class UidTable {
  readonly #max: number;
  #uids = Buffer.alloc(firstCapacity * uidBytes);
  #revisions = new Uint32Array(firstCapacity);
  #logged = new Uint32Array(firstCapacity);
  #notes = new Uint8Array(firstCapacity);
  #size = 0;
  #isFull = false;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** Some were left out, because there were more than it may keep. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** `inherited`: last revision that the session shares with others; 0: it is no fork. */
  add(uid: Uint8Array, revision: number, inherited = 0): void {
    if (this.#size >= this.#max) {
      this.#isFull = true;
      return;
    }
    if (this.#size * uidBytes === this.#uids.length) this.#grow();
    this.#uids.set(uid, this.#size * uidBytes);
    this.#revisions[this.#size] = revision;
    this.#logged[this.#size] = inherited;
    this.#notes[this.#size] = inherited > 0 ? begins : 0;
    this.#size += 1;
  }

  /** Place of a uid, for the methods below; -1 when it is not there. */
  find(uid: Uint8Array): number {
    let low = 0;
    let high = this.#size - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = Buffer.compare(this.uid(middle), uid);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  uid(at: number): Buffer {
    return this.#uids.subarray(at * uidBytes, (at + 1) * uidBytes);
  }

  /** Revision its head had. */
  revision(at: number): number {
    return this.#revisions[at] ?? 0;
  }

  /** Last revision the log of its namespace has named. */
  logged(at: number): number {
    return this.#logged[at] ?? 0;
  }

  setLogged(at: number, revision: number): void {
    this.#logged[at] = revision;
    this.#notes[at] = (this.#notes[at] ?? 0) & ~begins;
  }

  /**
   * It is a fork that the log of its namespace has not named yet; then `logged` is the last revision it
   * inherits. Its log begins somewhere behind that, because some of its events may be copies.
   */
  begins(at: number): boolean {
    return ((this.#notes[at] ?? 0) & begins) !== 0;
  }

  /** A session with that uid was found. */
  isNamed(at: number): boolean {
    return ((this.#notes[at] ?? 0) & named) !== 0;
  }

  setNamed(at: number): void {
    this.#notes[at] = (this.#notes[at] ?? 0) | named;
  }

  #grow(): void {
    const capacity = this.#revisions.length * 2;
    this.#uids = Buffer.concat([this.#uids], capacity * uidBytes);
    this.#revisions = grown(this.#revisions, new Uint32Array(capacity));
    this.#logged = grown(this.#logged, new Uint32Array(capacity));
    this.#notes = grown(this.#notes, new Uint8Array(capacity));
  }
}

function grown<T extends Uint32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
