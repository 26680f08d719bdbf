import { Writable } from "node:stream";

/**
 * The terminal as the editor of lines sees it. While it is quiet nothing of the editor is shown, so
 * that what is typed ahead does not stand in the middle of an answer.
 */
export class QuietOutput extends Writable {
  isQuiet = false;
  readonly #terminal: NodeJS.WriteStream;
  readonly #resized = () => this.emit("resize");

  constructor(terminal: NodeJS.WriteStream) {
    super({ decodeStrings: false });
    this.#terminal = terminal;
    terminal.on("resize", this.#resized);
  }

  /** The editor wraps lines by it. */
  get columns(): number {
    return this.#terminal.columns;
  }

  override _write(chunk: string, _encoding: string, done: () => void): void {
    if (!this.isQuiet) this.#terminal.write(chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#terminal.off("resize", this.#resized);
    done(error);
  }
}
