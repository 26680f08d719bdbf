import { WatchStart } from "@sessiond/contract";
import { expect } from "vitest";
import type { Refusal, TestApp } from "../../support/app.ts";

/** How a request ought to be refused. */
export interface Expected {
  /** Default: InvalidArgument. */
  readonly code?: Refusal["code"];
  /** Default: INVALID_FIELD. */
  readonly reason?: string;
  /** Path in the BadRequest. Absent: none is looked for. */
  readonly field?: string;
  /** What the message has to say. */
  readonly says?: string | RegExp;
}

/** Everything a reader can see: all sessions, and where the log of the namespace ends. */
async function everything(app: TestApp) {
  const { sessions } = await app.clients.sessions.listSessions({ pageSize: 1000 });
  const end = new AbortController();
  const watch = app.clients.events.watchEvents({ start: WatchStart.NOW }, { signal: end.signal });
  for await (const { cursor } of watch) {
    end.abort();
    return { sessions, cursor };
  }
  throw new Error("the watch said nothing");
}

/**
 * Checks that a call is refused as expected, that nothing a reader can see has changed, and, by
 * looking, that the server still answers.
 */
export async function expectRefusal(
  app: TestApp,
  call: () => Promise<unknown>,
  expected: Expected,
): Promise<void> {
  const before = await everything(app);
  const { code = "InvalidArgument", reason = "INVALID_FIELD", field, says } = expected;
  const answer = (await call()) as Refusal;
  expect(answer).toMatchObject({ ok: false, code, reason });
  // Long enough to say what to do.
  expect(answer.message.length).toBeGreaterThan(20);
  if (field !== undefined) {
    expect(answer.fields).toContain(field);
    expect(answer.message).toContain(answer.fields[0]);
  }
  if (says !== undefined) expect(answer.message).toMatch(says);
  expect(await everything(app)).toEqual(before);
}

export function text(value: string) {
  return { payload: { case: "message", value: { text: value } } } as const;
}

/** A session that is there while requests are refused. */
export async function createKept(app: TestApp): Promise<void> {
  const events = [text("hello"), text("world")];
  await app.clients.events.appendEvents({ sessionId: "kept", createIfMissing: true, events });
}
