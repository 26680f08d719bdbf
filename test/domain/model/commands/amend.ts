import { create } from "@bufbuild/protobuf";
import { AmendToolCallRequestSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { busyName } from "../pool.ts";
import { answerOf, type Happening } from "../world.ts";
import { callTokens } from "./append.ts";

const args = fc.record({
  name: busyName,
  which: fc.nat(30),
  /** Mostly a call; else whatever has that revision. */
  isCall: fc.constantFrom(true, true, true, false),
  length: fc.nat(3),
  isRepeatable: fc.boolean(),
});

/** AmendToolCall, also of what is no call, or hidden, or has these arguments. */
export const amending: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `amend ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, which, isCall, length } = args;
    const { model } = world;
    const log = model.sessions.get(name)?.log ?? [];
    const calls = log.flatMap(({ kind }, index) => (kind === "toolCall" ? [index + 1] : []));
    const revision = (isCall ? calls[which % Math.max(1, calls.length)] : undefined) ?? which;
    const text = "y".repeat(length);
    const request = create(AmendToolCallRequestSchema, {
      ...{ sessionId: name, revision, arguments: text },
      requestId: world.requestId(args.isRepeatable),
    });
    const wanted = model.amend(name, revision, text, callTokens(text));
    const answer = await answerOf(real.domain.amendments.amend(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.amendments.amend(again),
      (other) => ({ ...other, arguments: `${text} and more` }),
    );
    if (typeof wanted === "object" || "refused" in answer) expect(answer).toEqual(wanted);
    else expect(answer.revision).toBe(wanted);
  },
}));
