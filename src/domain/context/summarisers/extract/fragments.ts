import { type Event, Role } from "@sessiond/contract";
import { textOf, traitsOf } from "../../../payloads.ts";
import type { Group } from "../../groups.ts";
import { sentencesOf } from "./sentences.ts";

/** A piece of a summary: a sentence somebody said. */
export interface Fragment {
  readonly text: string;
  /** What stands before it in its line, for example "user". Empty: nothing. */
  readonly speaker: string;
  /** Line it belongs to; fragments of one group share one. */
  readonly line: number;
  /** How much it counts beside its words: whose it is, and where it stands. */
  readonly weight: number;
}

/** What stands between fragments of a line. */
export const separator = " · ";

/** What is read of one event, in UTF-16 units: of the beginning and of the end. */
interface Share {
  readonly head: number;
  readonly tail: number;
  readonly weight: number;
}

const shares = {
  user: { head: 16_384, tail: 2_048, weight: 1.5 },
  assistant: { head: 8_192, tail: 1_024, weight: 1 },
  tool: { head: 4_096, tail: 512, weight: 0.6 },
} satisfies Record<string, Share>;

/** The first sentence of a group says what it is about. */
const firstWeight = 1.3;
/** What a summary holds was chosen before, so it goes before what is new and tells as much. */
const absorbedWeight = 1.25;
const argumentsLength = 160;

/**
 * Fragments of a group, in order; a line for each role that speaks in it.
 *
 * At most 20 KiB are read of an event, and `most` fragments made of it.
 */
export function fragmentsOf(
  group: Group,
  { line, most }: { readonly line: number; readonly most: number },
): Fragment[] {
  let isFirst = true;
  return group.events.flatMap((event) => {
    const share = shareOf(event);
    const speaker = speakerOf(event);
    return wordsOf(event, share)
      .slice(0, most)
      .map((text) => {
        const weight = share.weight * (isFirst ? firstWeight : 1);
        isFirst = false;
        return { text, speaker, line, weight };
      });
  });
}

/** Fragments of an earlier summary, whoever made it. Its lines get the numbers from 0. */
export function fragmentsOfSummary(summary: string): Fragment[] {
  return summary.split("\n").flatMap((text, line) => {
    const match = /^((?:user|assistant|tool|system)(?: \([^()]{1,200}\))?): (.*)$/.exec(text);
    const [, speaker = "", rest = text] = match ?? [];
    const share = shares[speaker.split(" ")[0] as keyof typeof shares] ?? shares.user;
    const pieces = match === null ? sentencesOf(text) : rest.split(separator);
    return pieces
      .filter((piece) => piece.trim() !== "")
      .map((piece) => ({ text: piece, speaker, line, weight: share.weight * absorbedWeight }));
  });
}

function speakerOf(event: Event): string {
  const role = roleOf(event);
  const author = event.author.replace(/[\s()·:]+/g, " ").trim();
  return author === "" || author.toLowerCase() === role ? role : `${role} (${author})`;
}

function roleOf(event: Event): string {
  const role = event.role || traitsOf(event).role;
  if (role === Role.USER) return "user";
  if (role === Role.SYSTEM) return "system";
  return role === Role.TOOL ? "tool" : "assistant";
}

function shareOf(event: Event): Share {
  const role = roleOf(event);
  return role === "user" || role === "system" ? shares.user : shares[role as "assistant" | "tool"];
}

function wordsOf(event: Event, share: Share): string[] {
  const { payload } = event;
  switch (payload.case) {
    case "thinking":
      return [];
    case "toolCall": {
      const given = plain(payload.value.arguments.slice(0, argumentsLength)).replace(/\s+/g, " ");
      return [`called ${payload.value.name}${given === "" ? "" : `: ${given}`}`];
    }
    case "approvalResponse":
      return [
        `${payload.value.approved ? "approved" : "not approved"}${payload.value.reason ? `: ${payload.value.reason.slice(0, argumentsLength)}` : ""}`.replace(
          /\s+/g,
          " ",
        ),
      ];
    default:
      return partsOf(textOf(event), share).flatMap((text) => sentencesOf(plain(text)));
  }
}

/** The beginning and the end of a long text; the middle is not read. */
function partsOf(text: string, { head, tail }: Share): string[] {
  return text.length <= head + tail ? [text] : [text.slice(0, head), text.slice(-tail)];
}

/** JSON as text: names and values without brackets and quotes; other text as it is. */
function plain(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text;
  return text
    .replace(/\\[nrt"]/g, " ")
    .replace(/\},?\s*\{/g, "\n")
    .replace(/"\s*:\s*/g, " ")
    .replace(/[{}[\]"]+/g, "")
    .replace(/[^\S\n]*,[^\S\n]*/g, ", ")
    .replace(/[^\S\n]+/g, " ")
    .trim();
}
