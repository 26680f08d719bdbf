import { type Event, SizeClass, type TokenCount } from "@sessiond/contract";
import { type Media, referenceText } from "../context/dialects/media.ts";
import { textOf } from "../payloads.ts";
import type { TokenCounter } from "./counter.ts";
import { type ModelEncoding, scaleCount, tokenCount } from "./encodings.ts";

type SizeTable = Record<SizeClass, number>;

/*
 * Estimates from the rules that providers publish, of each class the dearest provider, rounded up.
 *
 * Images. A thumbnail of 384 × 384: OpenAI 85 + 170 a tile, Gemini 258, Anthropic 196 (a token for
 * 28 × 28 pixels). A screen of 1.2 megapixels: OpenAI 765 to 1,105, Gemini 1,032 to 1,548, Anthropic
 * 1,600. A photograph is scaled down to at most 1,445 by OpenAI and 4,784 by Anthropic.
 *
 * Files. A page of a document: Gemini 258, OpenAI its text and its image, Anthropic 1,500 to 3,000
 * for the text. Counted are 1,500 a page: one page, two pages, ten pages.
 */
const imageTokens = {
  [SizeClass.UNSPECIFIED]: 1_600,
  [SizeClass.SMALL]: 300,
  [SizeClass.MEDIUM]: 1_600,
  [SizeClass.LARGE]: 4_800,
} satisfies SizeTable;

const fileTokens = {
  // Most dialects show a file as a reference to it, which is counted then.
  [SizeClass.UNSPECIFIED]: 0,
  [SizeClass.SMALL]: 1_500,
  [SizeClass.MEDIUM]: 3_000,
  [SizeClass.LARGE]: 15_000,
} satisfies SizeTable;

/** The images and files of an event, in order. */
export function mediaOf({ payload }: Event): Media[] {
  if (payload.case !== "message" && payload.case !== "toolResult") return [];
  return payload.value.parts.flatMap(({ content }) =>
    content.case === "image" || content.case === "file" ? [content] : [],
  );
}

/**
 * Counts what a model would read of each event: its text, and its images and files.
 *
 * An image or a file counts by its size class, or as the text that refers to it where that is
 * longer; then the count is ESTIMATED. Texts are multiplied with `factor`. The entry of an event
 * without anything to count is undefined. Never blocks the event loop.
 *
 * Errors: as `TokenCounter.count`.
 */
export async function countEvents(
  tokens: TokenCounter,
  events: readonly Event[],
  { encoding, factor }: Readonly<{ encoding: string }> & Pick<ModelEncoding, "factor">,
): Promise<(TokenCount | undefined)[]> {
  const texts = events.map(textOf);
  const media = events.map(mediaOf);
  const references = media.flat().map(referenceText);
  const counts = await tokens.count([...texts, ...references], encoding);
  const scaled = counts.map((count) => scaleCount(count, factor));
  let nextReference = events.length;
  return events.map((_, index) => {
    const text = scaled[index];
    const parts = media[index] ?? [];
    if (parts.length === 0) return texts[index] === "" ? undefined : text;
    let count = text?.count ?? 0;
    for (const part of parts) {
      count += Math.max(sizeOf(part), scaled[nextReference]?.count ?? 0);
      nextReference += 1;
    }
    return tokenCount({ count, encoding, estimated: true });
  });
}

/** A class that this version does not know counts as the largest. */
function sizeOf({ case: kind, value: { sizeClass } }: Media): number {
  const table: Partial<SizeTable> = kind === "image" ? imageTokens : fileTokens;
  return table[sizeClass] ?? (kind === "image" ? imageTokens : fileTokens)[SizeClass.LARGE];
}
