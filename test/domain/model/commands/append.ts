import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AppendEventsRequestSchema, type EventSchema, Role } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { type ModelEvent, modelEvent } from "../log.ts";
import { busyName, plainFields } from "../pool.ts";
import { lostCalls, openCalls } from "../session.ts";
import { stateName } from "../shown.ts";
import { answerOf, type Happening, type World } from "../world.ts";

const kinds = [
  ...["user", "user", "assistant", "thinking", "toolCall", "toolCall", "toolResult", "progress"],
  ...["strayResult", "lateResult", "output", "error", "requestRecorded"],
] as const;

const some = fc.record({ kind: fc.constantFrom(...kinds), length: fc.nat(20) });

const args = fc.record({
  name: busyName,
  events: fc.array(some, { minLength: 1, maxLength: 4 }),
  creates: fc.boolean(),
  /** How far from the right one the expected revision is. */
  expects: fc.constantFrom(undefined, undefined, undefined, 0, 0, 1, -1),
  isRepeatable: fc.boolean(),
});

/** AppendEvents: batches of every kind that callers write, at the right and the wrong revision. */
export const appending: fc.Arbitrary<Happening> = args.map(append);

/** AppendEvents that are mostly taken, so that logs grow long. */
export const talking: fc.Arbitrary<Happening> = fc
  .record({ name: busyName, events: fc.array(some, { minLength: 3, maxLength: 8, size: "max" }) })
  .map((args) => append({ ...args, creates: true, expects: undefined, isRepeatable: false }));

type Args = typeof args extends fc.Arbitrary<infer T> ? T : never;

function append(args: Args): Happening {
  return {
    toString: () => `append ${JSON.stringify(args)}`,
    async run(world, real) {
      const { name, creates, expects, isRepeatable } = args;
      const { model } = world;
      const drafts = args.events.map((draft) => draftOf(world, name, draft));
      const head = model.sessions.get(name)?.log.length ?? 0;
      const expectedRevision = expects === undefined ? undefined : Math.max(0, head + expects);
      const request = create(AppendEventsRequestSchema, {
        sessionId: name,
        events: drafts.map(({ event }) => event),
        createIfMissing: creates,
        ...(expectedRevision !== undefined && { expectedRevision }),
        requestId: world.requestId(isRepeatable),
      });
      const wanted = model.append(
        name,
        drafts.map(({ model }) => model),
        {
          ...(expectedRevision !== undefined && { expectedRevision }),
          ...(creates && { creates: plainFields }),
        },
      );
      const answer = await answerOf(real.domain.events.append(request));
      world.remember(
        request,
        answer,
        (again) => real.domain.events.append(again),
        (other) => ({ ...other, createIfMissing: !other.createIfMissing }),
      );
      if ("refused" in wanted || "refused" in answer) {
        expect(answer).toEqual(wanted);
        return;
      }
      expect(answer.sessionCreated).toBe(wanted.isCreated);
      expect(answer.events.map(({ revision }) => revision)).toEqual(wanted.revisions);
      model.learnUid(name, answer.sessionUid);
      const session = model.sessions.get(name);
      // A session that reached its limit has its end behind the batch.
      expect(answer.headRevision).toBe(session?.log.length);
      expect(stateName(answer.state)).toBe(session && stateName(session.state));
    },
  };
}

/** Name and arguments, with a line break between them. */
export function callTokens(text: string): number {
  return "search".length + (text === "" ? 0 : text.length + 1);
}

interface Draft {
  readonly event: MessageInitShape<typeof EventSchema>;
  readonly model: ModelEvent;
}

function draftOf(
  world: World,
  name: string,
  { kind, length }: { kind: (typeof kinds)[number]; length: number },
): Draft {
  const text = "x".repeat(length);
  const tokens = length;
  const session = world.model.sessions.get(name);
  const open = session === undefined ? [] : openCalls(session).map(({ callId }) => callId);
  const lost = session === undefined ? [] : lostCalls(session);
  switch (kind) {
    case "user":
    case "assistant": {
      const isAssistant = kind === "assistant";
      return {
        event: {
          role: isAssistant ? Role.ASSISTANT : Role.USER,
          payload: { case: "message", value: { text } },
        },
        model: modelEvent("message", { tokens, isAssistant }),
      };
    }
    case "thinking":
      return {
        event: { payload: { case: "thinking", value: { text } } },
        model: modelEvent("thinking", { tokens }),
      };
    case "toolCall": {
      const callId = `call ${world.model.next()}`;
      const value = { callId, name: "search", arguments: text };
      return {
        event: { payload: { case: "toolCall", value } },
        model: modelEvent("toolCall", { tokens: callTokens(text), callId, text }),
      };
    }
    case "toolResult":
    case "progress":
    case "strayResult":
    case "lateResult": {
      const calls = kind === "strayResult" ? [] : kind === "lateResult" ? lost : open;
      const callId = calls[length % Math.max(1, calls.length)] ?? "nobody's call";
      const isFinal = kind !== "progress";
      return {
        event: { payload: { case: "toolResult", value: { callId, content: text, isFinal } } },
        model: modelEvent("toolResult", { tokens, callId, isFinal }),
      };
    }
    case "output":
      return {
        event: { payload: { case: "output", value: { text } } },
        model: modelEvent("output", { tokens }),
      };
    case "error":
      return {
        event: { payload: { case: "error", value: { code: "E", message: text } } },
        model: modelEvent("error"),
      };
    case "requestRecorded": {
      const isCounted = length % 2 === 0;
      const value = { processingTime: durationFromMs(length), count: isCounted };
      const request = { isCounted, failed: false, ms: length };
      return {
        event: { payload: { case: "requestRecorded", value } },
        model: modelEvent("requestRecorded", { request }),
      };
    }
  }
}
