import { create } from "@bufbuild/protobuf";
import { ForkSessionRequestSchema, type Session } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { busyName, otherName } from "../pool.ts";
import { actual, expected } from "../shown.ts";
import { answerOf, type Happening } from "../world.ts";

const args = fc.record({
  name: busyName,
  newName: otherName,
  /** Of the log; 0: all of it. */
  share: fc.constantFrom(0, 0.1, 0.5, 0.8, 1, 1.2),
  isRepeatable: fc.boolean(),
});

/** ForkSession at any revision, also of an ended session, and of a fork. */
export const forking: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `fork ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, newName, share } = args;
    const { model } = world;
    const revision = Math.round(share * (model.sessions.get(name)?.log.length ?? 0));
    const request = create(ForkSessionRequestSchema, {
      ...{ sessionId: name, newSessionId: newName, revision },
      requestId: world.requestId(args.isRepeatable),
    });
    const wanted = model.fork(name, revision, newName);
    const answer = await answerOf(real.domain.forks.fork(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.forks.fork(again),
      (other) => ({ ...other, revision: 1_000 }),
    );
    if ("refused" in wanted || "refused" in answer) {
      expect(answer).toEqual(wanted);
      return;
    }
    const session = answer.session as Session;
    model.learnUid(newName, session.uid);
    const shown = model.sessions.get(newName);
    expect(actual(session)).toEqual(shown && expected(shown));
  },
}));
