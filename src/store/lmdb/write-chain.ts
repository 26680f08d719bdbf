import type { Database, RootDatabase } from "lmdb";

const KEY = Buffer.from("newest");
const NOTHING = Buffer.alloc(1);

/**
 * Makes every write wait for the one before: each is made only if the number of the newest is still
 * what it was when the write was handed over, and leaves the next number.
 *
 * Without it, when a transaction of the driver fails, those already queued behind it are made all the
 * same, and a log would have a hole where the failed ones were.
 */
export class WriteChain {
  readonly #table: Database<Buffer, Buffer>;
  /** Number of the newest write handed over; null: none in this store yet. */
  #newest: number | null;

  private constructor(table: Database<Buffer, Buffer>) {
    this.#table = table;
    this.#newest = table.getEntry(KEY)?.version ?? null;
  }

  /** Undefined: the store is open for reading only and never had one. */
  static open(root: RootDatabase<Buffer, Buffer>): WriteChain | undefined {
    const table: Database<Buffer, Buffer> | undefined = root.openDB<Buffer, Buffer>({
      name: "chain",
      encoding: "binary",
      keyEncoding: "binary",
      useVersions: true,
    });
    return table && new WriteChain(table);
  }

  /**
   * Hands over the puts and removes that `operations` calls, to be made together. Resolves when they
   * are on disk; false: an earlier write failed, and these were not made.
   *
   * Not by `transaction`: with overlappingSync off its promise never settles.
   */
  write(operations: () => void): Promise<boolean> {
    const before = this.#newest;
    const next = (before ?? 0) + 1;
    this.#newest = next;
    // The types leave out null, which stands for "there is none".
    return this.#table.ifVersion(KEY, before as number, () => {
      operations();
      this.#table.put(KEY, NOTHING, next);
    });
  }
}
