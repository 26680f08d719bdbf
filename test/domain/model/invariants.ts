import { create } from "@bufbuild/protobuf";
import { ListEventsRequestSchema, ListStepsRequestSchema, type Step } from "@sessiond/contract";
import { expect } from "vitest";
import type { TestDomain } from "../../support/domain.ts";
import { type Numbers, numbered, visibleOf } from "./log.ts";
import { names } from "./pool.ts";
import type { Real } from "./real.ts";
import { actual, expected, numbersOf } from "./shown.ts";
import { answerOf, type World } from "./world.ts";

/** What must hold after everything that happens: head, log, steps and absence, of every session. */
export async function checkInvariants(world: World, { domain }: Real): Promise<void> {
  const { model } = world;
  // Compactions would be events that the model does not know.
  await domain.settled();
  for (const [name, session] of model.sessions) {
    const found = await domain.get(name);
    const shown = model.shown(name);
    expect(actual(found), name).toEqual(shown && expected(shown));
    noteEtag(world, found);
    const log = (await domain.log(name)).map(numbersOf);
    expect(log, name).toEqual(visibleOf(session.log));
    expect(await whole(domain, name), name).toEqual(numbered(session.log));
    expect(await steps(domain, name), name).toEqual(log.filter(({ step }) => step > 0).map(stepOf));
  }
  for (const name of names) {
    if (model.sessions.has(name)) continue;
    expect(await answerOf(domain.get(name))).toEqual({ refused: "SESSION_NOT_FOUND" });
  }
}

function noteEtag(
  { etags, wasSetBack }: World,
  { uid, etag }: { uid: string; etag: string },
): void {
  const known = etags.get(uid) ?? [];
  if (known.at(-1) === etag) return;
  // An etag that comes back would let a stale update through.
  if (!wasSetBack) expect(known).not.toContain(etag);
  etags.set(uid, [...known, etag]);
}

/** The log with what is hidden. */
async function whole(domain: TestDomain, sessionId: string): Promise<Numbers[]> {
  const request = create(ListEventsRequestSchema, {
    ...{ sessionId, includeHidden: true, pageSize: 1_000 },
  });
  return (await domain.events.list(request)).events.map(numbersOf);
}

async function steps(domain: TestDomain, sessionId: string) {
  const found: Step[] = [];
  let pageToken = "";
  do {
    const request = create(ListStepsRequestSchema, { sessionId, pageSize: 3, pageToken });
    const page = await domain.steps.list(request);
    found.push(...page.steps);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found.map(({ number, revisions }) => ({ number, revision: revisions.at(-1) }));
}

function stepOf({ step, revision }: Numbers) {
  return { number: step, revision };
}
