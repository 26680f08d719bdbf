import { create } from "@bufbuild/protobuf";
import { ReopenSessionRequestSchema, type Session } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { someName } from "../pool.ts";
import { actual, expected } from "../shown.ts";
import { answerOf, type Happening } from "../world.ts";

/** ReopenSession. */
export const reopening: fc.Arbitrary<Happening> = fc
  .record({ name: someName, isRepeatable: fc.boolean() })
  .map((args) => ({
    toString: () => `reopen ${JSON.stringify(args)}`,
    async run(world, real) {
      const requestId = world.requestId(args.isRepeatable);
      const request = create(ReopenSessionRequestSchema, { sessionId: args.name, requestId });
      const wanted = world.model.reopen(args.name);
      const answer = await answerOf(real.domain.lifecycle.reopen(request));
      world.remember(
        request,
        answer,
        (again) => real.domain.lifecycle.reopen(again),
        (other) => ({ ...other, reason: "another" }),
      );
      if (typeof wanted === "object" || "refused" in answer) {
        expect(answer).toEqual(wanted);
        return;
      }
      expect(answer.reopened).toBe(wanted);
      const shown = world.model.shown(args.name);
      expect(actual(answer.session as Session)).toEqual(shown && expected(shown));
    },
  }));
