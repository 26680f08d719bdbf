import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, WatchStart } from "@sessiond/contract";
import { expect, test } from "vitest";
import { InvalidFieldError } from "../../../src/errors.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cancel } from "../lifecycle/support.ts";
import { appendTexts, next, nextEvents } from "./consumer-support.ts";

const call = (name: string) =>
  ({ payload: { case: "toolCall", value: { callId: name, name } } }) as const;

async function appendMixed(domain: TestDomain): Promise<void> {
  const events = [userText("a"), call("search"), userText("b"), call("pay")];
  await domain.append({ sessionId: "demo", createIfMissing: true, events });
}

test("a batch is shown without the events that a filter hides", async () => {
  await using domain = await openTestDomain();
  await appendMixed(domain);
  for (const [filter, revisions] of [
    ['event.type == "tool_call"', [3, 5]],
    ['event.tool != "" && event.tool != "search"', [5]],
    ['event.text.contains("b") || event.revision == 1u || event.revision == 1', [1, 4]],
    ['event.session_id == "demo" && event.role == "user"', [2, 4]],
    ["event.metadata.missing == 1", []],
    ["true", [1, 2, 3, 4, 5]],
  ] as const) {
    await domain.append({ sessionId: "other", createIfMissing: true, events: [userText("end")] });
    const watch = domain.watch({ filter: `${filter} || event.text == "end"` });
    const { seen } = await nextEvents(watch);
    const expected = revisions.map((revision) => `demo:${revision}`);
    if (expected.length > 0) expect(seen, filter).toEqual(expected);
    else expect(seen[0], filter).toMatch(/^other:/);
    await watch.return(undefined);
  }
});

test("an event that a filter cannot tell about is shown", async () => {
  await using domain = await openTestDomain();
  const odd = { ...userText("odd"), metadata: { amount: "many" } };
  const small = { ...userText("small"), metadata: { amount: 1 } };
  await domain.append({ sessionId: "demo", createIfMissing: true, events: [odd, small] });
  const watch = domain.watch({ sessionId: "demo", filter: "event.metadata.amount > 100.0" });
  expect((await nextEvents(watch)).seen).toEqual(["demo:2"]);
  await watch.return(undefined);
});

test("what a filter hides moves the cursor, without a message for each batch", async () => {
  await using domain = await openTestDomain({ progressIntervalMs: 50 });
  await appendTexts(
    domain,
    Array.from({ length: 300 }, () => "x".repeat(2_000)),
  );
  await domain.settled();
  const watch = domain.watch({ sessionId: "demo", filter: 'event.text == "seen"' });
  await next(watch);
  let messages = 0;
  let cursor = "";
  for (;;) {
    const told = await next(watch);
    expect(told.message.case).toBe("progress");
    cursor = told.cursor;
    messages += 1;
    if (told.message.case === "progress" && domain.watches.stats("session").behind === 0) break;
  }
  // They are read in 38 pieces or more.
  expect(messages).toBeLessThan(20);
  await watch.return(undefined);
  const { headRevision } = await domain.get("demo");
  await appendTexts(domain, ["behind"]);
  const resumed = domain.watch({ sessionId: "demo", cursor });
  expect((await nextEvents(resumed)).seen).toEqual([`demo:${headRevision + 1}`]);
  await resumed.return(undefined);
});

test("a deletion is told whatever the filter", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const watch = domain.watch({ filter: "false", start: WatchStart.NOW });
  await next(watch);
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: "demo" }));
  expect((await next(watch)).message.case).toBe("sessionDeleted");
  await watch.return(undefined);
});

test("a watch with a filter ends with its session all the same", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  await cancel(domain, { sessionId: "demo", reason: "enough" });
  const filter = 'event.type == "session_ended"';
  const watch = domain.watch({ sessionId: "demo", filter, untilEnded: true });
  expect((await nextEvents(watch)).seen).toEqual(["demo:3"]);
  expect(await watch.next()).toEqual({ done: true, value: undefined });
});

test("watches with and without filters share what they read", async () => {
  await using domain = await openTestDomain();
  await appendMixed(domain);
  const filters = ["", "true", 'event.type == "tool_call"'];
  const watches = filters.map((filter) => domain.watch({ sessionId: "demo", filter }));
  await Promise.all(watches.map((watch) => next(watch)));
  const seen = await Promise.all(watches.map(async (watch) => (await nextEvents(watch)).seen));
  expect(seen.map(({ length }) => length)).toEqual([5, 5, 2]);
  for (const watch of watches) await watch.return(undefined);
});

test.each(["event.", "nobody", "event.text.matches('a+')", "(".repeat(100), "\0"])(
  "a filter %j is refused with the place",
  async (filter) => {
    await using domain = await openTestDomain();
    const watch = domain.watch({ filter });
    await expect(watch.next()).rejects.toThrow(InvalidFieldError);
    expect(domain.watches.stats("namespace").open).toBe(0);
  },
);
