import { clone } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import { compileCopies } from "./copies.ts";
import { compileFieldPath, type TakeOut } from "./field-paths.ts";
import { PatternThread } from "./pattern-thread.ts";
import { textsOf } from "./texts.ts";
import { withoutContent } from "./without-content.ts";

/** What must not reach a receiver. */
export interface RedactionConfig {
  /** What people, models and tools said may leave. */
  readonly content: boolean;
  /** Paths of fields that are taken out, as `compileFieldPath` has them, with their copies. */
  readonly fields: readonly string[];
  /** Patterns of what is taken out wherever it stands, as `compilePatterns` has them. */
  readonly patterns: readonly string[];
}

/**
 * Makes events into what may leave: without content, if it has to stay here, without the fields, and
 * without what the patterns find in the texts of the rest. The events given are not changed.
 */
export class Redaction {
  readonly #content: boolean;
  readonly #takeOut: readonly TakeOut[];
  readonly #patterns: PatternThread | undefined;

  /** Errors: FieldPathError. */
  constructor({ content, fields, patterns }: RedactionConfig) {
    this.#content = content;
    // Copies are content: where it stays here, they do.
    const copies = content ? fields.flatMap(compileCopies) : [];
    this.#takeOut = [...fields.map(compileFieldPath), ...copies];
    this.#patterns = patterns.length > 0 ? new PatternThread({ patterns }) : undefined;
  }

  /** Errors: the patterns could not be looked for; nothing may leave. */
  async apply(events: readonly Event[]): Promise<readonly Event[]> {
    if (this.#content && this.#takeOut.length === 0 && this.#patterns === undefined) return events;
    const leaving = events.map((event) => this.#withoutFields(event));
    if (this.#patterns === undefined) return leaving;
    const places = leaving.flatMap(textsOf);
    if (places.length === 0) return leaving;
    const texts = await this.#patterns.redact(places);
    if (texts.length !== places.length) throw new Error("texts are missing");
    for (const [index, text] of texts.entries()) {
      const place = places[index];
      if (place !== undefined && place.text !== text) place.replace(text);
    }
    return leaving;
  }

  async close(): Promise<void> {
    await this.#patterns?.close();
  }

  #withoutFields(event: Event): Event {
    const own = this.#content ? clone(EventSchema, event) : withoutContent(event);
    for (const takeOut of this.#takeOut) takeOut(own);
    return own;
  }
}
