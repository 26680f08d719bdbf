import { create } from "@bufbuild/protobuf";
import {
  type Dialect,
  TokenAccuracy,
  Treatment,
  type WindowItem,
  WindowItemSchema,
  type WindowTokens,
  WindowTokensSchema,
} from "@sessiond/contract";
import type { ModelEncoding } from "../tokens/encodings.ts";
import { overheadOf, windowOverhead } from "./dialects/overhead.ts";
import type { Group } from "./groups.ts";
import type { Instructions } from "./instruction-sizes.ts";
import type { Piece } from "./pieces.ts";
import type { EventSizes } from "./sizes.ts";
import type { Summary } from "./summary.ts";

/** Everything a window shows, before its groups and behind them. */
export interface Frame {
  readonly instructions: Instructions;
  readonly summary: Summary | undefined;
  readonly dialect: Dialect;
  readonly encoding: ModelEncoding;
  readonly sizes: EventSizes;
}

/** Tokens of everything that stands in a window beside its groups. */
export function frameTokens(frame: Frame): number {
  const { instructions, dialect } = frame;
  const pieces = [instructionsPiece(frame), summaryPiece(frame)];
  let sum = instructions.toolTokens + windowOverhead(dialect);
  for (const piece of pieces) if (piece !== undefined) sum += piece.tokens + piece.overhead;
  return sum;
}

/** Tokens of the summary in a window; 0 without one. */
export function summaryTokens(frame: Frame): number {
  const piece = summaryPiece(frame);
  return piece === undefined ? 0 : piece.tokens + piece.overhead;
}

/** The pieces of a window in order: a summary stands where what it replaced began. */
export function windowPieces(
  frame: Frame,
  groups: readonly { readonly group: Group; readonly pieces: readonly Piece[] }[],
): Piece[] {
  const instructions = instructionsPiece(frame);
  const summary = summaryPiece(frame);
  const place = frame.summary?.covered[0]?.first ?? 0;
  const pieces = instructions === undefined ? [] : [instructions];
  let placed = summary === undefined;
  for (const { group, pieces: own } of groups) {
    if (!placed && group.first > place && summary !== undefined) {
      pieces.push(summary);
      placed = true;
    }
    pieces.push(...own);
  }
  if (!placed && summary !== undefined) pieces.push(summary);
  return pieces;
}

function instructionsPiece({ instructions, dialect }: Frame): Piece | undefined {
  const { event, instructionTokens } = instructions;
  if (event === undefined) return undefined;
  return {
    event,
    treatment: Treatment.SYNTHETIC,
    reason: "instructions",
    tokens: instructionTokens,
    overhead: overheadOf(dialect, event),
  };
}

function summaryPiece({ summary, dialect, encoding, sizes }: Frame): Piece | undefined {
  if (summary === undefined) return undefined;
  const { event } = summary;
  return {
    event,
    treatment: Treatment.SUMMARISED,
    reason: "summary",
    tokens: sizes.of(event, encoding)?.count ?? 0,
    overhead: overheadOf(dialect, event),
  };
}

/** Pieces in the form of the contract. */
export function itemsOf(pieces: readonly Piece[], { summary }: Frame): WindowItem[] {
  return pieces.map(({ event, treatment, tokens, reason }) =>
    create(WindowItemSchema, {
      event,
      treatment,
      tokens,
      reason,
      ...(event === summary?.event && { covered: [...summary.covered] }),
    }),
  );
}

/** Tokens of a window by what they are for. */
export function tokensOf(pieces: readonly Piece[], frame: Frame): WindowTokens {
  const tokens = create(WindowTokensSchema, {
    tools: frame.instructions.toolTokens,
    overhead: windowOverhead(frame.dialect),
  });
  for (const piece of pieces) {
    tokens[useOf(piece, frame)] += piece.tokens;
    tokens.overhead += piece.overhead;
  }
  const { instructions, tools, summary, toolResults, recent, overhead } = tokens;
  tokens.total =
    instructions + tools + tokens.protected + summary + toolResults + recent + overhead;
  return tokens;
}

function useOf(
  { event, treatment }: Piece,
  { instructions }: Frame,
): "instructions" | "summary" | "protected" | "toolResults" | "recent" {
  if (event === instructions.event) return "instructions";
  if (treatment === Treatment.SUMMARISED) return "summary";
  if (event.protection !== undefined) return "protected";
  return event.payload.case === "toolResult" ? "toolResults" : "recent";
}

/** How sure the counts of a window are: as sure as the least sure of them. */
export function accuracyOf(
  pieces: readonly Piece[],
  { encoding, sizes }: Pick<Frame, "encoding" | "sizes">,
): TokenAccuracy {
  if (encoding.factor !== 1) return TokenAccuracy.ESTIMATED;
  let accuracy: TokenAccuracy = TokenAccuracy.EXACT;
  for (const { event, reason } of pieces) {
    const own = sizes.of(event, encoding)?.accuracy;
    if (own === TokenAccuracy.ESTIMATED || reason === "no_result" || reason === "label") {
      return TokenAccuracy.ESTIMATED;
    }
    if (own === TokenAccuracy.REPORTED) accuracy = own;
  }
  return accuracy;
}
