import { create } from "@bufbuild/protobuf";
import { RewindSessionRequestSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { busyName } from "../pool.ts";
import { answerOf, type Happening } from "../world.ts";

const args = fc.record({
  name: busyName,
  /** Of the log, or so many groups. */
  share: fc.constantFrom(0, 0.2, 0.5, 0.7, 0.9, 0.95, 1, 1.2),
  groups: fc.constantFrom(0, 0, 1, 1, 2, 9),
  isRepeatable: fc.boolean(),
});

/** RewindSession, by revision and by groups, also to what is hidden, and across an end. */
export const rewinding: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `rewind ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, share, groups } = args;
    const { model } = world;
    const revision = Math.round(share * (model.sessions.get(name)?.log.length ?? 0));
    const request = create(RewindSessionRequestSchema, {
      sessionId: name,
      to: groups > 0 ? { case: "groups", value: groups } : { case: "revision", value: revision },
      requestId: world.requestId(args.isRepeatable),
    });
    const wanted = model.rewind(name, groups > 0 ? { groups } : { revision });
    const answer = await answerOf(real.domain.rewinds.rewind(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.rewinds.rewind(again),
      (other) => ({ ...other, expectedRevision: 1_000 }),
    );
    if ("refused" in wanted || "refused" in answer) expect(answer).toEqual(wanted);
    else expect(answer).toMatchObject(wanted);
  },
}));
