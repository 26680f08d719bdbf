import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type EventSchema,
  ListStepsRequestSchema,
  type Step,
  StepStatus,
  StepType,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { PageTokenInvalidError, SessionNotFoundError } from "../../../src/errors.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";

const sessionId = "demo";
type EventInit = MessageInitShape<typeof EventSchema>;

/** Appends events one by one, a second apart. */
async function play(domain: TestDomain, events: readonly EventInit[]): Promise<void> {
  for (const event of events) {
    await domain.append({ sessionId, events: [event], createIfMissing: true });
    domain.now += 1_000;
  }
}

async function page(domain: TestDomain, pageSize = 0, pageToken = "") {
  return domain.steps.list(create(ListStepsRequestSchema, { sessionId, pageSize, pageToken }));
}

async function allSteps(domain: TestDomain, pageSize: number): Promise<Step[]> {
  const steps: Step[] = [];
  let pageToken = "";
  do {
    const { steps: found, nextPageToken } = await page(domain, pageSize, pageToken);
    steps.push(...found);
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return steps;
}

const value = (text: string) => ({ kind: { case: "stringValue", value: text } }) as const;

/** One step of each type, with the marks an agent may set around them. */
const run: readonly EventInit[] = [
  userText("what is new?"),
  { payload: { case: "thinking", value: { text: "I should search" } } },
  {
    payload: { case: "stepStarted", value: { type: 2, name: "web_search", input: value("news") } },
  },
  {
    author: "researcher",
    payload: { case: "toolCall", value: { callId: "c1", name: "search", arguments: '{"q":1}' } },
  },
  { payload: { case: "toolResult", value: { callId: "c1", content: "three hits" } } },
  {
    duration: durationFromMs(1_500),
    payload: { case: "stepCompleted", value: { type: 2, status: StepStatus.SUCCEEDED } },
  },
  { payload: { case: "error", value: { code: "busy", message: "try later" } } },
  { payload: { case: "output", value: { value: { kind: { case: "numberValue", value: 7 } } } } },
];

describe("steps", () => {
  test("are read from events, numbered from 1, with what went in and came out", async () => {
    await using domain = await openTestDomain();
    await play(domain, run);
    const { steps, nextPageToken } = await page(domain);
    expect(nextPageToken).toBe("");
    expect(steps.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
    expect(steps).toMatchObject([
      { type: StepType.THINKING, output: "I should search", revisions: [3] },
      {
        type: StepType.TOOL_CALL,
        name: "search",
        input: '{"q":1}',
        output: "",
        author: "researcher",
        status: StepStatus.UNSPECIFIED,
        revisions: [4, 5],
        duration: durationFromMs(1_000),
      },
      {
        type: StepType.TOOL_RESULT,
        name: "search",
        input: '{"q":1}',
        output: "three hits",
        status: StepStatus.SUCCEEDED,
        revisions: [5, 6, 7],
        duration: durationFromMs(1_500),
      },
      { type: StepType.ERROR, output: "try later", status: StepStatus.FAILED, revisions: [8] },
      { type: StepType.OUTPUT, output: "7", status: StepStatus.SUCCEEDED, revisions: [9] },
    ]);
  });

  test("Ordered, Unique, Gapless: the same by pages of any size", async () => {
    await using domain = await openTestDomain();
    await play(domain, [...run, ...run.slice(1), ...run]);
    const steps = await allSteps(domain, 1_000);
    expect(steps.map(({ number }) => number)).toEqual(steps.map((_, index) => index + 1));
    for (const pageSize of [1, 2, 3, 7]) expect(await allSteps(domain, pageSize)).toEqual(steps);
  });

  test("do not say how long it took what was over when it was recorded, in one batch", async () => {
    await using domain = await openTestDomain();
    await domain.append({ sessionId, events: [...run], createIfMissing: true });
    const { steps } = await page(domain);
    const [, call, result] = steps;
    expect(call?.duration).toBeUndefined();
    expect(result?.duration).toEqual(durationFromMs(1_500));
  });

  test("of a result say how long it took since its call, where nobody says better", async () => {
    await using domain = await openTestDomain();
    const [, , , call, result] = run;
    if (call === undefined || result === undefined) throw new Error("the run is shorter");
    await play(domain, [call, userText("are you there?"), result]);
    const { steps } = await page(domain);
    expect(steps[1]).toMatchObject({ revisions: [2, 4], duration: durationFromMs(2_000) });
    await play(domain, [{ ...result, duration: durationFromMs(3) }]);
    const [, , unmatched] = (await page(domain)).steps;
    expect(unmatched).toMatchObject({ name: "", input: "", duration: durationFromMs(3) });
  });

  test("of a long silence come in pages that may be empty", async () => {
    await using domain = await openTestDomain();
    const silence = Array.from({ length: 1_000 }, () => userText("hm"));
    for (let i = 0; i < 6; i++) {
      await domain.append({ sessionId, events: silence, createIfMissing: true });
    }
    await play(domain, [{ payload: { case: "thinking", value: { text: "at last" } } }]);
    const first = await page(domain);
    expect(first).toMatchObject({ steps: [] });
    expect(first.nextPageToken).not.toBe("");
    expect(await allSteps(domain, 10)).toMatchObject([{ number: 1, output: "at last" }]);
  });

  test("of a session that is not there, or behind a made-up token, are errors", async () => {
    await using domain = await openTestDomain();
    await expect(page(domain)).rejects.toThrow(SessionNotFoundError);
    await domain.create({ session: { sessionId } });
    await expect(page(domain, 0, "made-up")).rejects.toThrow(PageTokenInvalidError);
    expect(await page(domain)).toMatchObject({ steps: [], nextPageToken: "" });
  });
});
