import { type FileHandle, open } from "node:fs/promises";

/**
 * Writes what happened to a file of its own, one line of JSON an entry, synced to disk.
 *
 * Lies outside the server, in the process that is not killed. Entries that come while a sync runs
 * share the next one.
 */
export class Recorder {
  readonly #file: FileHandle;
  #lines = 0;
  #waiting: string[] = [];
  #newest: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Begins a file, which must not exist. The caller closes it. */
  static async open(path: string): Promise<Recorder> {
    return new Recorder(await open(path, "wx"));
  }

  /**
   * Notes an entry. Its place, from 1, follows the order of the calls and is known at once;
   * `synced` resolves when it is on disk.
   */
  note(entry: object): { readonly place: number; readonly synced: Promise<void> } {
    const place = ++this.#lines;
    this.#waiting.push(`${JSON.stringify({ place, ...entry })}\n`);
    if (this.#waiting.length === 1) this.#newest = this.#newest.then(() => this.#flush());
    return { place, synced: this.#newest };
  }

  async close(): Promise<void> {
    await this.#newest;
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const lines = this.#waiting.splice(0);
    await this.#file.write(lines.join(""));
    await this.#file.datasync();
  }
}
