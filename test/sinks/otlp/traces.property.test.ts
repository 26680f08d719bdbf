import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  type EventSchema,
  ReopenSessionRequestSchema,
  Role,
  StepStatus,
  StepType,
  TraceContextSchema,
  UsageSchema,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { SpanRecord } from "../../../src/sinks/otlp/records.ts";
import { storeSource } from "../../../src/sinks/otlp/store-source.ts";
import { recordedSpan } from "../../../src/sinks/otlp/trace-state.ts";
import { type SessionName, Traces } from "../../../src/sinks/otlp/traces.ts";
import { compact } from "../../domain/context/compaction/support.ts";
import { fork, rewind } from "../../domain/history/support.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { end, toolCall, toolResult } from "./spans.ts";

type EventInit = MessageInitShape<typeof EventSchema>;

const ids = ["a", "b", "c"] as const;
const digit = fc.constantFrom("1", "2", "3");
const stepType = fc.constantFrom(StepType.THINKING, StepType.TOOL_CALL, StepType.UNSPECIFIED);
const stepName = fc.constantFrom("", "f1", "plan");

/** Trace contexts of a few traces and spans, recorded or not, and broken ones. */
const trace = fc.option(
  fc
    .oneof(
      { weight: 9, arbitrary: fc.tuple(digit, digit, fc.constantFrom("00", "01")) },
      { weight: 1, arbitrary: fc.constant(undefined) },
    )
    .map((parts) => {
      const [traceOf, spanOf, flags] = parts ?? ["0", "0", "01"];
      const traceparent = `00-${traceOf.repeat(32)}-${spanOf.repeat(16)}-${flags}`;
      return create(TraceContextSchema, { traceparent });
    }),
  { nil: undefined, freq: 2 },
);

const event: fc.Arbitrary<EventInit> = fc
  .tuple(
    fc.oneof(
      fc.constant<EventInit>({
        role: Role.USER,
        payload: { case: "message", value: { text: "hello there" } },
      }),
      fc.tuple(digit, digit).map(([callId, name]) => toolCall(callId, `f${name}`)),
      fc
        .tuple(digit, fc.boolean(), fc.boolean())
        .map(([callId, isError, isFinal]) => toolResult(callId, { isError, isFinal })),
      fc.tuple(stepType, stepName).map(
        ([type, name]): EventInit => ({
          payload: { case: "stepStarted", value: { type, name } },
        }),
      ),
      fc.tuple(stepType, stepName).map(
        ([type, name]): EventInit => ({
          payload: { case: "stepCompleted", value: { type, name, status: StepStatus.FAILED } },
        }),
      ),
      fc.constant<EventInit>({ payload: { case: "error", value: { code: "e" } } }),
    ),
    trace,
    fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined, freq: 2 }),
    fc.option(fc.nat(50), { nil: undefined, freq: 3 }),
  )
  .map(
    ([init, context, ms, inputTokens]) =>
      ({
        ...init,
        ...(context && { trace: context }),
        ...(ms !== undefined && { duration: durationFromMs(ms) }),
        ...(inputTokens !== undefined && { usage: create(UsageSchema, { inputTokens }) }),
      }) as EventInit,
  );

const command = fc.record({
  id: fc.constantFrom(...ids),
  passMs: fc.integer({ min: 0, max: 5_000 }),
  what: fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ append: fc.array(event, { minLength: 1, maxLength: 5 }) }),
    },
    { weight: 1, arbitrary: fc.constant("end" as const) },
    { weight: 1, arbitrary: fc.constant("reopen" as const) },
    { weight: 1, arbitrary: fc.constant("fork" as const) },
    { weight: 1, arbitrary: fc.constant("rewind" as const) },
    { weight: 1, arbitrary: fc.constant("compact" as const) },
  ),
});
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

interface Told {
  readonly name: SessionName;
  readonly event: Event;
}

/** Runs commands; those that make no sense at their time are refused, and change nothing. */
async function run(domain: TestDomain, commands: readonly Command[]): Promise<Told[]> {
  const sessions = new Set<string>(ids);
  for (const { id, passMs, what } of commands) {
    domain.now += passMs;
    try {
      if (typeof what === "object") {
        await domain.append({ sessionId: id, createIfMissing: true, events: what.append });
      } else if (what === "end") await end(domain, { sessionId: id });
      else if (what === "reopen") {
        await domain.lifecycle.reopen(create(ReopenSessionRequestSchema, { sessionId: id }));
      } else if (what === "fork") {
        const newSessionId = `${id}-${sessions.size}`;
        await fork(domain, { sessionId: id, newSessionId });
        sessions.add(newSessionId);
      } else if (what === "rewind") {
        await rewind(domain, { sessionId: id, to: { case: "groups", value: 1 } });
      } else await compact(domain, { sessionId: id });
    } catch {
      // Refused, as an agent's mistake would be.
    }
  }
  for (const sessionId of sessions) await end(domain, { sessionId }).catch(() => {});
  const told: Told[] = [];
  for await (const { message } of domain.watch({})) {
    if (message.case === "progress") break;
    if (message.case !== "events") continue;
    const { sessionId, sessionUid: uid, events } = message.value;
    const name = { namespace: "default", sessionId, uid };
    told.push(...events.map((one) => ({ name, event: one })));
  }
  return told;
}

/** Spans of what was told, with a fresh memory after so many events, and batches that come twice. */
async function spansOf(
  domain: TestDomain,
  told: readonly Told[],
  { forgetAfter = Number.POSITIVE_INFINITY, twice = false, memoryBytes = 1_000_000 } = {},
): Promise<SpanRecord[]> {
  const source = storeSource(domain.store, async (_sessionId, events) => events);
  let traces = new Traces({ source, memoryBytes });
  const spans: SpanRecord[] = [];
  for (const [index, { name, event: one }] of told.entries()) {
    if (index % forgetAfter === forgetAfter - 1) traces = new Traces({ source, memoryBytes });
    if (twice) await traces.begin().take(name, one);
    const batch = traces.begin();
    spans.push(...(await batch.take(name, one)).spans);
    batch.keep();
  }
  return spans;
}

test("every span has a parent, none ends before it begins, and all come out the same after restarts", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 5, maxLength: 40 }),
      fc.integer({ min: 1, max: 12 }),
      async (commands, forgetAfter) => {
        await using domain = await openTestDomain({ progressIntervalMs: 1 });
        const told = await run(domain, commands);
        const spans = await spansOf(domain, told);

        const remotes = new Set(
          told.flatMap(({ event: { trace: context } }) => recordedSpan(context)?.spanId ?? []),
        );
        const own = new Map(spans.map((span) => [`${span.traceId} ${span.spanId}`, span]));
        expect(own.size).toBe(spans.length);
        for (const span of spans) {
          expect(span.startMs).toBeLessThanOrEqual(span.endMs);
          const { parent } = span;
          if (parent === undefined) continue;
          const isOwn = own.has(`${span.traceId} ${parent.spanId}`);
          expect(parent.isRemote ? remotes.has(parent.spanId) : isOwn).toBe(true);
        }
        // One span for each run of a session, one for each call that has a result.
        const runs = told.filter(({ event: { payload } }) => payload.case === "sessionEnded");
        const invoked = spans.filter(({ name }) => name.startsWith("invoke_agent"));
        expect(invoked.length).toBe(runs.length);
        const results = told.filter(
          ({ event: { payload } }) =>
            payload.case === "toolResult" && payload.value.isFinal !== false,
        );
        const tools = spans.filter(
          ({ attributes }) => attributes["sessiond.tool.is_final"] === true,
        );
        expect(tools.length).toBe(results.length);

        expect(await spansOf(domain, told, { forgetAfter })).toEqual(spans);
        expect(await spansOf(domain, told, { twice: true })).toEqual(spans);
        expect(await spansOf(domain, told, { memoryBytes: 1 })).toEqual(spans);
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);
