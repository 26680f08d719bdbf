import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { GetSessionMetricsRequestSchema, RecordRequestRequestSchema } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { InvalidFieldError, SessionEndedError } from "../../../src/errors.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { cancel, sessionId } from "../lifecycle/support.ts";

function record(
  domain: TestDomain,
  request: MessageInitShape<typeof RecordRequestRequestSchema> = {},
) {
  return domain.counters.record(create(RecordRequestRequestSchema, { sessionId, ...request }));
}

async function requests(domain: TestDomain) {
  const { metrics } = await domain.counters.get(
    create(GetSessionMetricsRequestSchema, { sessionId }),
  );
  return metrics?.requests;
}

const error = { code: "timeout", message: "the model did not answer" };

describe("RecordRequest", () => {
  test("counts a request, its time and its error, each alone or together", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await record(domain);
    await record(domain, { processingTime: durationFromMs(300), count: false });
    await record(domain, { error, count: false });
    expect(await requests(domain)).toMatchObject({
      count: 1,
      errors: 1,
      processingTime: durationFromMs(300),
    });
    const answer = await record(domain, { processingTime: durationFromMs(100), error });
    expect(answer.revision).toBe(5);
    expect(answer.requests).toEqual(await requests(domain));
    expect(answer.requests).toMatchObject({
      count: 2,
      errors: 2,
      processingTime: durationFromMs(400),
    });
  });

  test("keeps the average time and the error rate", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await record(domain, { error, count: false });
    expect(await requests(domain)).toMatchObject({ count: 0, errorRate: 0 });
    for (const ms of [100, 200, 600, 300]) {
      await record(domain, { processingTime: durationFromMs(ms) });
    }
    expect(await requests(domain)).toMatchObject({
      averageProcessingTime: durationFromMs(300),
      errorRate: 0.25,
    });
    for (let i = 0; i < 9; i++) await record(domain, { error, count: false });
    expect(await requests(domain)).toMatchObject({ errorRate: 1 });
  });

  test("adds up requests of less than a millisecond", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    const processingTime = { seconds: 0n, nanos: 300_000 };
    for (let i = 0; i < 10; i++) await record(domain, { processingTime });
    const found = await requests(domain);
    expect(found).toMatchObject({ processingTime: { nanos: 3_000_000 } });
    await record(domain, { processingTime: { seconds: 315_576_000_000n, nanos: 0 } });
    expect((await requests(domain))?.processingTime?.seconds).toBe(315_576_000_000n);
  });

  test("Idempotent: counts a repeated request once", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    const first = await record(domain, { requestId: "r" });
    expect(await record(domain, { requestId: "r" })).toEqual(first);
    expect(await requests(domain)).toMatchObject({ count: 1 });
  });

  test("refuses what records nothing, and a session that has ended", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await expect(record(domain, { count: false })).rejects.toThrow(InvalidFieldError);
    await cancel(domain);
    await expect(record(domain)).rejects.toThrow(SessionEndedError);
  });
});
