import { type Event, Role } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openTestDomain } from "../../support/domain.ts";
import { open, sessionId } from "./compaction/support.ts";
import { logs } from "./logs/log.ts";

interface OpenCall {
  readonly id: string;
  readonly group: number;
  readonly revision: number;
  approvalId?: string;
}

/**
 * Groups of a whole log, found by looking at it from behind: for each event, what stands in front
 * of it says where it belongs. Slow, and nothing like the way appends do it.
 */
function recount(log: readonly Event[]): number[] {
  const groups: number[] = [];
  for (const [index, event] of log.entries()) {
    groups.push(groupOf(event, log.slice(0, index), groups));
  }
  return groups;
}

function groupOf(event: Event, before: readonly Event[], groups: readonly number[]): number {
  const { payload, revision, protection } = event;
  const alone = protection === undefined ? 0 : revision;
  switch (payload.case) {
    case "output":
      return revision;
    case "message":
      return event.role === Role.ASSISTANT ? response(event, before, groups) : revision;
    case "thinking":
    case "toolCall":
      return response(event, before, groups);
    case "toolResult":
    case "approvalRequest": {
      const open = openCalls(before, groups).filter(({ id }) => id === payload.value.callId);
      const youngest = Math.max(...open.map(({ group }) => group));
      return open.find(({ group }) => group === youngest)?.group ?? alone;
    }
    case "approvalResponse": {
      const { approvalId } = payload.value;
      return (
        openCalls(before, groups).find((call) => call.approvalId === approvalId)?.group ?? alone
      );
    }
    case "custom":
      return alone;
    default:
      return 0;
  }
}

/** The response that the event goes on with, or its own. */
function response(event: Event, before: readonly Event[], groups: readonly number[]): number {
  const own = event.revision;
  // Late answers to older responses do not come between the parts of one; handoffs do.
  const group = Math.max(0, ...groups);
  const parts = before.filter((_, at) => groups[at] === group);
  const [first] = parts;
  if (group === 0 || first?.author !== event.author) return own;
  if (before.slice(group).some(({ payload }) => payload.case === "handoff")) return own;
  const ends = ["toolResult", "approvalRequest", "approvalResponse", "output", "custom"];
  if (parts.some(({ payload }) => ends.includes(payload.case ?? ""))) return own;
  if (first.payload.case === "message" && first.role !== Role.ASSISTANT) return own;
  if (event.payload.case === "toolCall") return group;
  return parts.every(({ payload }) => payload.case === "thinking") ? group : own;
}

/** Calls without a final result, oldest first. */
function openCalls(before: readonly Event[], groups: readonly number[]): OpenCall[] {
  let open: OpenCall[] = [];
  for (const [index, { payload, revision }] of before.entries()) {
    const group = groups[index] ?? 0;
    if (payload.case === "toolCall") open.push({ id: payload.value.callId, group, revision });
    const of = open.find(
      ({ id, group: its }) =>
        its === group && "callId" in (payload.value ?? {}) && id === idIn(payload),
    );
    if (of === undefined) continue;
    if (payload.case === "approvalRequest") of.approvalId = payload.value.approvalId;
    if (payload.case === "toolResult" && (payload.value.isFinal ?? true)) {
      open = open.filter((call) => call !== of);
    }
  }
  return open;
}

function idIn(payload: Event["payload"]): string {
  return payload.case === "toolResult" || payload.case === "approvalRequest"
    ? payload.value.callId
    : "";
}

test("groups named at append equal a recount over the whole log", async () => {
  await fc.assert(
    fc.asyncProperty(logs({ minLength: 4, maxLength: 60 }), async (appends) => {
      await using domain = await openTestDomain();
      await open(domain, { compaction: { manual: true } });
      for (const { passMs, events } of appends) {
        domain.now += passMs;
        await domain.append({ sessionId, events: [...events] });
      }
      const log = await domain.log(sessionId);
      expect(log.map(({ group }) => group)).toEqual(recount(log));
    }),
    { numRuns: 150 },
  );
});
