import type { TextLine } from "../../bundle/read-lines.ts";

/** Where the session under way is: its lines go on, its end was read, or it broke off. */
type Place = "inside" | "behind" | "outside";

/** The lines of a bundle, read by one after another, a session at a time. */
export class LineSource implements AsyncDisposable {
  readonly #lines: AsyncIterator<TextLine>;
  #unread: TextLine | undefined;
  #place: Place = "outside";
  #end: TextLine | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Number of the newest line. */
  number = 0;

  constructor(lines: AsyncIterable<TextLine>) {
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** The next line; undefined at the end. */
  async next(): Promise<TextLine | undefined> {
    let line = this.#unread;
    this.#unread = undefined;
    if (line === undefined) {
      const { done, value } = await this.#lines.next();
      line = done ? undefined : value;
    }
    if (line !== undefined) this.number = line.number;
    return line;
  }

  /** Begins a session with its first line, which was read. */
  begin(line: TextLine): void {
    this.#unread = line;
    this.#place = "inside";
    this.#end = undefined;
  }

  /** The lines of the session up to its end, or to where something else begins. */
  async *session(): AsyncGenerator<string> {
    const begins = this.#unread?.number;
    for (;;) {
      const line = await this.#nextInside(begins);
      if (line === undefined) return;
      yield line.text;
    }
  }

  /** Passes over what is left of the session; gives its end, if it has one. */
  async skip(): Promise<TextLine | undefined> {
    const begins = this.#unread?.number;
    while ((await this.#nextInside(begins)) !== undefined) {
      // Nobody wants it.
    }
    return this.#end;
  }

  /** One after another: who sends lines may still be at it when the server has refused them. */
  #nextInside(begins: number | undefined): Promise<TextLine | undefined> {
    const next = this.#turn.then(() => this.#readInside(begins));
    this.#turn = next.catch(() => {});
    return next;
  }

  async #readInside(begins: number | undefined): Promise<TextLine | undefined> {
    if (this.#place !== "inside") return undefined;
    const line = await this.next();
    if (line === undefined || line.number === begins) return line;
    if (/^\s*\{\s*"end"\s*:/.test(line.text)) {
      this.#place = "behind";
      this.#end = line;
    } else if (/^\s*\{\s*"(?:session|summary|format)"\s*:/.test(line.text)) {
      this.#place = "outside";
      this.#unread = line;
      return undefined;
    }
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.return?.();
  }
}
