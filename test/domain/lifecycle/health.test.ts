import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type HealthPolicySchema,
  type Hint,
  RecordRequestRequestSchema,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { SessionEndedError } from "../../../src/errors.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { cancel, kindsOf, reopen, sessionId } from "./support.ts";

const error = { code: "timeout", message: "the model did not answer" };

/** Records a request that worked ("+") or failed ("-") for each sign. */
async function record(domain: TestDomain, signs: string) {
  const answers = [];
  for (const sign of signs) {
    const request = { sessionId, ...(sign === "-" && { error }) };
    answers.push(await domain.counters.record(create(RecordRequestRequestSchema, request)));
  }
  return answers;
}

const codesOf = (hints: readonly Hint[] = []) => hints.map(({ code }) => code);

function withPolicy(healthPolicy: MessageInitShape<typeof HealthPolicySchema>) {
  return { session: { sessionId, healthPolicy } };
}

describe("a health policy", () => {
  test("warns above an error rate, from enough requests on", async () => {
    await using domain = await openTestDomain();
    await domain.create(withPolicy({ warnErrorRate: 0.25, minRequests: 4 }));
    const answers = await record(domain, "---++++++++++");
    expect(answers.map(({ hints }) => codesOf(hints).includes("high_error_rate"))).toEqual(
      // 3 of 3 say little; 3 of 4 to 3 of 11 are above a quarter, 3 of 12 are not.
      [false, false, false, ...Array(8).fill(true), false, false],
    );
  });

  test("warns above a number of errors", async () => {
    await using domain = await openTestDomain();
    await domain.create(withPolicy({ warnErrors: 2 }));
    const answers = await record(domain, "--+-");
    expect(answers.map(({ hints }) => codesOf(hints))).toEqual([[], [], [], ["many_errors"]]);
  });

  test("says so in the answers to appends, too", async () => {
    await using domain = await openTestDomain();
    await domain.create(withPolicy({ warnErrors: 1 }));
    const value = { error };
    const failed = { payload: { case: "requestRecorded", value } } as const;
    const answer = await domain.append({ sessionId, events: [failed, failed] });
    expect(codesOf(answer.hints)).toEqual(["many_errors"]);
  });

  test("tells the server's log once, when a warning begins", async () => {
    const warnings: string[] = [];
    await using domain = await openTestDomain({
      onHealthWarning: ({ code }, name) => warnings.push(`${name.sessionId} ${code}`),
    });
    await domain.create(withPolicy({ warnErrors: 1, warnErrorRate: 0.5, minRequests: 1 }));
    await record(domain, "---+++-+-");
    const again = ["demo high_error_rate", "demo high_error_rate"];
    expect(warnings).toEqual(["demo high_error_rate", "demo many_errors", ...again]);
  });

  test("ends the session as FAILED with the request that takes it above the rate", async () => {
    await using domain = await openTestDomain();
    await domain.create(withPolicy({ failErrorRate: 0.5, minRequests: 4 }));
    const answers = await record(domain, "+-+--");
    expect(answers.map(({ state }) => state)).toEqual([
      ...Array(4).fill(SessionState.ACTIVE),
      SessionState.FAILED,
    ]);
    expect(answers.at(-1)).toMatchObject({ revision: 6, requests: { count: 5, errors: 3 } });
    expect(await domain.get(sessionId)).toMatchObject({
      state: SessionState.FAILED,
      end: { errorCode: "error_rate", errorMessage: "3 of 5 requests failed" },
    });
    expect(kindsOf(await domain.log(sessionId)).slice(-2)).toEqual([
      "requestRecorded",
      "sessionEnded",
    ]);
    await expect(record(domain, "+")).rejects.toThrow(SessionEndedError);
  });

  test("lets a reopened session recover: only a failed request ends it again", async () => {
    await using domain = await openTestDomain();
    await domain.create(withPolicy({ failErrorRate: 0.5, minRequests: 2 }));
    await record(domain, "--");
    await reopen(domain);
    const answers = await record(domain, "+++-");
    expect(answers.map(({ state }) => state)).toEqual(Array(4).fill(SessionState.ACTIVE));
    await record(domain, "-");
    expect((await domain.get(sessionId)).state).toBe(SessionState.FAILED);
  });

  test("a session without one never fails by its requests", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    const answers = await record(domain, "-".repeat(20));
    expect(answers.at(-1)).toMatchObject({ state: SessionState.ACTIVE, hints: [] });
  });

  test("does not count before ten requests unless it says so", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, preset: "managed" } });
    await record(domain, "-".repeat(9));
    expect((await domain.get(sessionId)).state).toBe(SessionState.ACTIVE);
    await record(domain, "-");
    expect((await domain.get(sessionId)).state).toBe(SessionState.FAILED);
  });

  test("of the preset is softened by zeros: they are never", async () => {
    await using domain = await openTestDomain();
    const healthPolicy = { warnErrorRate: 0, warnErrors: 0, failErrorRate: 0 };
    await domain.create({ session: { sessionId, preset: "managed", healthPolicy } });
    const answers = await record(domain, "-".repeat(20));
    expect(answers.flatMap(({ hints }) => hints)).toEqual([]);
    expect(answers.at(-1)?.state).toBe(SessionState.ACTIVE);
  });

  test("a limit that is reached by the same append ends the session", async () => {
    await using domain = await openTestDomain();
    const healthPolicy = { failErrorRate: 0.1, minRequests: 1 };
    await domain.create({ session: { sessionId, healthPolicy, limits: { maxSteps: 1 } } });
    const value = { error };
    const answer = await domain.append({
      sessionId,
      events: [
        { payload: { case: "requestRecorded", value } },
        { payload: { case: "error", value: error } },
      ],
    });
    expect(answer.state).toBe(SessionState.LIMIT_REACHED);
    expect(answer.events).toHaveLength(2);
    expect((await cancel(domain)).cancelled).toBe(false);
  });
});
