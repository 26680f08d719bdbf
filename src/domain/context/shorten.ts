import { create } from "@bufbuild/protobuf";
import { type Event, type ToolResultPolicy, ToolResultSchema } from "@sessiond/contract";
import { textOf } from "../payloads.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import { scaleCount } from "../tokens/encodings.ts";
import { mediaOf } from "../tokens/media.ts";
import type { Media } from "./dialects/media.ts";

/** Tokens kept of the beginning and the end of a result, unless the policy says others. */
export const defaultHeadTokens = 300;
export const defaultTailTokens = 100;

interface ShortenArgs {
  readonly event: Event;
  readonly policy: ToolResultPolicy | undefined;
  readonly encoding: string;
  /** What counts in `encoding` are multiplied with. Default 1. Head and tail are before it. */
  readonly factor?: number;
  readonly tokens: TokenCounter;
  /** Tokens of the whole result, its images and files and the factor included. */
  readonly whole: number;
}

/**
 * Gives the short form of an old tool result, and its tokens.
 *
 * Either its first and last tokens around `[… N tokens cut, revision R]`, or, with
 * `stub_characters`, `[Summarized: <first characters>...]`. No character is cut in two. Images and
 * files are left out, which the marker says, and so is the provider's own form. Undefined when the
 * short form does not save tokens, and for other events.
 *
 * Errors: as `TokenCounter.count`.
 */
export async function shortenResult(
  args: ShortenArgs,
): Promise<{ event: Event; tokens: number } | undefined> {
  const { event, policy, encoding, factor = 1, tokens, whole } = args;
  if (event.payload.case !== "toolResult") return undefined;
  const content = policy?.stubCharacters
    ? stub(event, policy.stubCharacters)
    : await headAndTail(args);
  if (content === undefined) return undefined;
  const [counted] = await tokens.count([content], encoding);
  if (counted === undefined) return undefined;
  const count = scaleCount(counted, factor);
  if (count.count >= whole) return undefined;
  const { callId, isError, isFinal } = event.payload.value;
  const value = create(ToolResultSchema, {
    callId,
    content,
    isError,
    ...(isFinal !== undefined && { isFinal }),
  });
  const { raw: _raw, ...rest } = event;
  return {
    event: { ...rest, tokens: count, payload: { case: "toolResult", value } },
    tokens: count.count,
  };
}

async function headAndTail(args: ShortenArgs): Promise<string | undefined> {
  const { event, policy, encoding, factor = 1, tokens, whole } = args;
  const text = textOf(event);
  const media = mediaOf(event);
  const [counted] = media.length === 0 ? [] : await tokens.count([text], encoding);
  const cut = await tokens.shorten(
    text,
    {
      headTokens: policy?.headTokens ?? defaultHeadTokens,
      tailTokens: policy?.tailTokens ?? defaultTailTokens,
      wholeTokens: counted?.count ?? Math.floor(whole / factor),
    },
    encoding,
  );
  if (cut === undefined) {
    return media.length === 0 ? undefined : lines(text, marker(event, wordsFor(media)));
  }
  const what = [`${cut.cutTokens} tokens`, ...wordsFor(media)];
  return lines(cut.head, marker(event, what), cut.tail);
}

function stub(event: Event, characters: number): string | undefined {
  const text = textOf(event);
  const media = mediaOf(event);
  const length = lengthOf(text, characters);
  if (length === text.length && media.length === 0) return undefined;
  return lines(
    length === text.length ? text : `[Summarized: ${text.slice(0, length)}...]`,
    media.length === 0 ? "" : marker(event, wordsFor(media)),
  );
}

/** UTF-16 units of the first characters of a text. */
function lengthOf(text: string, characters: number): number {
  let length = 0;
  for (let taken = 0; taken < characters && length < text.length; taken++) {
    length += (text.codePointAt(length) ?? 0) > 0xffff ? 2 : 1;
  }
  return length;
}

function marker({ revision }: Event, what: readonly string[]): string {
  return `[… ${what.join(" and ")} cut, revision ${revision}]`;
}

function wordsFor(media: readonly Media[]): string[] {
  return (["image", "file"] as const).flatMap((kind) => {
    const { length } = media.filter((part) => part.case === kind);
    return length === 0 ? [] : [`${length} ${kind}${length === 1 ? "" : "s"}`];
  });
}

function lines(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("\n");
}
