import { create } from "@bufbuild/protobuf";
import {
  CancelSessionRequestSchema,
  EndSessionRequestSchema,
  type Session,
  SessionState,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { someName } from "../pool.ts";
import { actual, expected } from "../shown.ts";
import { answerOf, type Happening } from "../world.ts";

const { COMPLETED, FAILED, CANCELLED, EXPIRED } = SessionState;

const args = fc.record({
  name: someName,
  state: fc.constantFrom(SessionState.UNSPECIFIED, COMPLETED, FAILED, CANCELLED, EXPIRED),
  reason: fc.constantFrom("", "enough"),
  errorCode: fc.constantFrom("", "E"),
  isRepeatable: fc.boolean(),
});

/** EndSession, in each state that callers may end a session in. */
export const ending: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `end ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, state, reason, errorCode } = args;
    const request = create(EndSessionRequestSchema, {
      ...{ sessionId: name, state, end: { reason, errorCode } },
      requestId: world.requestId(args.isRepeatable),
    });
    const wanted = world.model.end(name, state || COMPLETED, { reason, errorCode });
    const answer = await answerOf(real.domain.sessions.end(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.sessions.end(again),
      (other) => ({ ...other, state: state === FAILED ? COMPLETED : FAILED }),
    );
    if (typeof wanted === "object" || "refused" in answer) {
      expect(answer).toEqual(wanted);
      return;
    }
    expect(answer.ended).toBe(wanted);
    const shown = world.model.shown(name);
    expect(actual(answer.session as Session)).toEqual(shown && expected(shown));
  },
}));

/** CancelSession: open calls get their results. */
export const cancelling: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `cancel ${JSON.stringify({ ...args, state: undefined })}`,
  async run(world, real) {
    const { name, reason } = args;
    const requestId = world.requestId(args.isRepeatable);
    const request = create(CancelSessionRequestSchema, { sessionId: name, reason, requestId });
    const wanted = world.model.end(name, CANCELLED, { reason });
    const answer = await answerOf(real.domain.lifecycle.cancel(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.lifecycle.cancel(again),
      (other) => ({ ...other, reason: `${other.reason} of it` }),
    );
    if (typeof wanted === "object" || "refused" in answer) {
      expect(answer).toEqual(wanted);
      return;
    }
    expect(answer.cancelled).toBe(wanted);
    const shown = world.model.shown(name);
    expect(actual(answer.session as Session)).toEqual(shown && expected(shown));
  },
}));
