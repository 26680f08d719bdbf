import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type GetContextWindowRequest,
  type GetContextWindowResponse,
  GetContextWindowResponseSchema,
  Treatment,
} from "@sessiond/contract";
import { textOf } from "../payloads.ts";
import { render } from "./dialects/render.ts";
import { type Draft, isComplete } from "./drafts.ts";
import { explain } from "./explain.ts";
import type { Fitted } from "./fit.ts";
import type { Group } from "./groups.ts";
import { accuracyOf, itemsOf, tokensOf, windowPieces } from "./items.ts";
import { type Piece, piecesOf } from "./pieces.ts";
import { prefixChange, prefixHash } from "./prefix.ts";
import { withoutRevisions } from "./ranges.ts";
import type { Retrieved } from "./retrieval.ts";
import { isInScope } from "./scope.ts";

/** The window in the form of the contract. */
export function answer(args: {
  draft: Draft;
  fitted: Fitted;
  /** Absent: there was no query, or no need for it. */
  retrieved?: Retrieved;
  request: GetContextWindowRequest;
}): GetContextWindowResponse {
  const { draft, fitted, retrieved, request } = args;
  const { policy, frame, stored } = draft;
  const kept = fitted.kept.map((group) => ({ group, pieces: shown(group, args) }));
  const pieces = windowPieces(frame, kept);
  const items = itemsOf(pieces, frame);
  const tokens = tokensOf(pieces, frame);
  const rendered = render(draft.dialect, items);
  const prefix = prefixOf(args, kept);
  const { knownPrefixHash } = request;
  const change = knownPrefixHash === "" ? undefined : prefixChange(knownPrefixHash, prefix);
  return create(GetContextWindowResponseSchema, {
    items,
    ...(rendered !== undefined && { rendered: fromJson(ValueSchema, rendered) }),
    tokens,
    tokenBudget: policy.tokenBudget,
    reservedOutputTokens: policy.reservedOutputTokens,
    ratio: policy.room === 0 ? 0 : tokens.total / policy.room,
    encoding: policy.encoding.encoding,
    accuracy: accuracyOf(pieces, frame),
    prefixHash: prefix,
    prefixChanged: change !== undefined,
    prefixChangeReason: change ?? "",
    groups: request.explain ? explanations(args, kept) : [],
    indexPartial: retrieved?.partial ?? false,
    headRevision: stored.head.revision,
    sessionUid: stored.session.uid,
  });
}

type Kept = readonly { readonly group: Group; readonly pieces: readonly Piece[] }[];

function shown(
  group: Group,
  { draft, fitted, retrieved }: { draft: Draft; fitted: Fitted; retrieved?: Retrieved },
): Piece[] {
  const { first } = group;
  const { scope, state } = draft;
  const reason = retrieved?.reasons.get(first);
  if (reason !== undefined && !scope.required.has(first)) {
    return piecesOf(group, fitted.view, reason).map((piece) =>
      piece.treatment === Treatment.KEPT ? { ...piece, treatment: Treatment.RETRIEVED } : piece,
    );
  }
  const isOpen = state.openCalls.some((call) => call.group === first);
  return piecesOf(group, fitted.view, isOpen ? "open_call" : "recent");
}

/**
 * What the window's beginning depends on, see `prefix_hash` in the contract: where it begins, what
 * stands in front of that, and everything in it that may still change.
 */
function prefixOf(
  { draft, fitted, retrieved, request }: Parameters<typeof answer>[0],
  kept: Kept,
): string {
  const { frame, state, policy, dialect, agent, authors, log } = draft;
  const firsts = kept.map(({ group }) => group.first);
  const begin = isWhole(draft, kept) ? 0 : beginOf(firsts, draft);
  const front = firsts.filter((first) => first < begin);
  const reduced = [...fitted.view.shortened.keys(), ...fitted.view.omitted].map(
    ({ revision }) => revision,
  );
  const { event } = frame.instructions;
  return prefixHash({
    request: [
      dialect,
      agent,
      ...authors,
      policy.encoding.encoding,
      policy.encoding.factor,
      ...(retrieved === undefined ? [] : [request.query, log.head]),
    ],
    instructions: [event?.payload.case === "message" ? event.payload.value.text : ""],
    compaction: [state.compaction?.revision ?? 0],
    protection: state.protectionChanged ? front : [],
    amendment: amendmentsIn(kept, draft),
    cut: [fitted.cut, begin, ...front, ...reduced.sort((a, b) => a - b), ...awaitedIn(kept)],
  });
}

/** It shows all there is for it, so later windows can only go on behind it. */
function isWhole(draft: Draft, kept: Kept): boolean {
  const inScope = draft.material.groups.filter((group) => isInScope(group, draft.scope));
  return isComplete(draft) && inScope.length === kept.length;
}

/** Protected groups stay where they are, so a window begins with the first of the others. */
function beginOf(firsts: readonly number[], { state, log }: Draft): number {
  const guarded = new Set(state.protected.map(({ group }) => group));
  return firsts.find((first) => !guarded.has(first)) ?? log.head + 1;
}

/** The newest amendments of the calls that are shown. */
function amendmentsIn(kept: Kept, { state }: Draft): number[] {
  const shown = new Set(kept.map(({ group }) => group.first));
  return state.amendedCalls
    .filter(({ group }) => shown.has(group))
    .map(({ amendmentRevision }) => amendmentRevision);
}

/** What stands for results: they take its place when they come, and so do further calls of a group. */
function awaitedIn(kept: Kept): (string | number)[] {
  return kept.flatMap(({ group, pieces }) =>
    pieces.flatMap(({ reason, event }) =>
      reason === "no_result" ? [group.last, event.callRevision, textOf(event)] : [],
    ),
  );
}

function explanations({ draft }: Parameters<typeof answer>[0], kept: Kept) {
  const { state, scope, material, visible } = draft;
  const there = new Set(kept.map(({ group }) => group.first));
  const canShow = new Set(visible);
  const left = material.groups.filter(
    (group) =>
      !there.has(group.first) &&
      (group.first > scope.coveredThrough || scope.spared.has(group.first)),
  );
  const read = material.groups.flatMap(({ events }) => events.map(({ revision }) => revision));
  const named = [...read, ...kept.flatMap(({ group }) => group.events.map((one) => one.revision))];
  // A log begins with `session_started`, which no window shows.
  const first = Math.max(1, scope.coveredThrough) + 1;
  const unread = { first, last: material.completeFrom - 1 };
  return explain({
    kept,
    dropped: left.map((group) => ({
      group,
      reason: canShow.has(group) ? "older than what fits" : "outside the policy or the request",
      tokens: group.events.reduce((sum, { tokens }) => sum + (tokens?.count ?? 0), 0),
    })),
    covered: withoutRevisions(draft.covered, named),
    coveredBy: state.compaction?.revision ?? 0,
    unread: unread.first <= unread.last ? withoutRevisions([unread], named) : [],
  });
}
