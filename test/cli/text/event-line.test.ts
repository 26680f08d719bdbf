import { create, fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import { toSessionEvent } from "@sessiond/client";
import { type Event, EventSchema, SessionState, StepStatus, StepType } from "@sessiond/contract";
import { expect, test } from "vitest";
import { eventLines } from "../../../src/cli/text/event-line.ts";

const output = { isTerminal: false, hasColours: false, columns: () => 80, write() {} };
// A date without a time zone is one of this machine's.
const toLine = eventLines({
  output,
  withSession: false,
  full: false,
  now: () => new Date("2026-11-20T12:00:00"),
});
const at = (time: string) =>
  toSessionEvent(
    create(EventSchema, {
      revision: 1,
      createTime: timestampFromDate(new Date(time)),
      payload: { case: "sessionStarted", value: {} },
    }),
  );

test("a change of the state shows its keys, which cannot steer the terminal", () => {
  const patch = { theme: "dark\u001b[2J", draft: null };
  const event = create(EventSchema, {
    revision: 2,
    createTime: timestampFromDate(new Date("2026-11-20T09:05:00")),
    payload: { case: "stateChanged", value: { patch } },
  });
  expect(toLine("s", toSessionEvent(event))).toBe(
    '09:05:00     2  state       {"theme":"dark\\u001b[2J","draft":null}\n',
  );
});

test("an event of another day has its date, one of today only the time", () => {
  expect(toLine("s", at("2026-11-20T09:05:00"))).toBe("09:05:00     1  started\n");
  expect(toLine("s", at("2026-11-19T23:59:59"))).toBe("2026-11-19 23:59:59     1  started\n");
});

type Payload = NonNullable<Exclude<MessageInitShape<typeof EventSchema>, Event>["payload"]>;

const line = (payload: Payload) =>
  toLine("s", toSessionEvent(create(EventSchema, { payload })))
    .replace(/^.*? 0 {2}/, "")
    .trimEnd();

test.each([
  ["step        tool_call search", "stepStarted", { type: StepType.TOOL_CALL, name: "search" }],
  [
    "step done   tool_call search failed",
    "stepCompleted",
    { type: StepType.TOOL_CALL, name: "search", status: StepStatus.FAILED },
  ],
  ["output      Take NH 1", "output", { text: "Take NH 1" }],
  ['output      {"flight":"NH 1"}', "output", { value: fromJson(ValueSchema, { flight: "NH 1" }) }],
  [
    "reopened    it was cancelled, one more question",
    "sessionReopened",
    { from: SessionState.CANCELLED, reason: "one more question" },
  ],
  ['amendment   of 3: ({"to":"KIX"})', "amendment", { revision: 3, arguments: '{"to":"KIX"}' }],
  [
    "handoff     tutor -> expert, too hard",
    "handoff",
    { from: "tutor", to: "expert", reason: "too hard" },
  ],
  ["approve?", "approvalRequest", {}],
] as const)("an event says in a line what happened: %s", (shown, name, value) => {
  expect(line({ case: name, value } as Payload)).toBe(shown);
});

test("every payload of the contract has a label that fits its column", () => {
  const fields = EventSchema.oneofs.find(({ name }) => name === "payload")?.fields ?? [];
  expect(fields.length).toBeGreaterThan(20);
  for (const { localName } of fields) {
    const payload = { case: localName, value: {} } as Payload;
    expect(line(payload)).not.toContain("…");
  }
});
