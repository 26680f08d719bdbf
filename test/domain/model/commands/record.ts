import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { RecordRequestRequestSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { counted, modelEvent } from "../log.ts";
import { someName } from "../pool.ts";
import { answerOf, type Happening } from "../world.ts";

const args = fc.record({
  name: someName,
  ms: fc.nat(5_000),
  failed: fc.boolean(),
  isCounted: fc.boolean(),
  isRepeatable: fc.boolean(),
});

/** RecordRequest. */
export const recording: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `record ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, ms, failed, isCounted } = args;
    const request = create(RecordRequestRequestSchema, {
      ...{ sessionId: name, processingTime: durationFromMs(ms), count: isCounted },
      ...(failed && { error: { code: "E" } }),
      requestId: world.requestId(args.isRepeatable),
    });
    const event = modelEvent("requestRecorded", { request: { isCounted, failed, ms } });
    const wanted = world.model.append(name, [event]);
    const answer = await answerOf(real.domain.counters.record(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.counters.record(again),
      (other) => ({ ...other, count: !isCounted }),
    );
    if ("refused" in wanted || "refused" in answer) {
      expect(answer).toEqual(wanted);
      return;
    }
    expect(answer.revision).toBe(wanted.revisions[0]);
    const { requests } = counted(world.model.sessions.get(name)?.log ?? []);
    expect(answer.requests?.count ?? 0).toBe(requests.count);
    expect(answer.requests?.errors ?? 0).toBe(requests.errors);
  },
}));
