import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  CompactionSchema,
  type Event,
  type ExportSessionResponse,
  ExportSessionResponseSchema,
  ForkedSchema,
  RedactionSchema,
  RewindSchema,
  Role,
  StateChangedSchema,
} from "@sessiond/contract";
import { ContextStateSchema } from "@sessiond/contract/store";
import { beforeAll, describe, expect, test } from "vitest";
import { CompactionLog } from "../../../src/domain/bundles/compaction-log.ts";
import { GrowingNumbers } from "../../../src/domain/bundles/growing-numbers.ts";
import { rejection } from "../../store/support.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import {
  amend,
  call,
  compact,
  open,
  protect,
  result,
  revert,
  say,
  sessionId,
  talk,
  text,
} from "../context/compaction/support.ts";
import { exported, imported } from "./support.ts";

/** A log with all of the server's own records that are about windows. */
let parts: ExportSessionResponse[];
let kinds: (string | undefined)[];
beforeAll(async () => {
  await using domain = await openTestDomain();
  await open(domain, { compaction: { manual: true } });
  await talk(domain, { turns: 12, tokens: 300 });
  await compact(domain);
  await protect(domain, [3]);
  await revert(domain);
  await talk(domain, { turns: 4, tokens: 300, from: 12 });
  await compact(domain);
  await say(domain, userText(text(50)), call("c1", "{}"), result("c1"));
  await amend(domain, (await domain.get(sessionId)).headRevision - 1, '{"a": 1}');
  parts = await exported(domain, sessionId);
  kinds = eventsOf(parts).map(({ payload }) => payload.case);
});

function eventsOf(of: readonly ExportSessionResponse[]): Event[] {
  return of.flatMap(({ part }) => (part.case === "events" ? part.value.events : []));
}

/** Imports the log after a change; gives the error. */
async function refusal(change: (events: Event[]) => void): Promise<unknown> {
  await using domain = await openTestDomain();
  const copy = parts.map((part) => clone(ExportSessionResponseSchema, part));
  const [first] = copy.flatMap(({ part }) => (part.case === "events" ? part.value : []));
  if (first !== undefined) change(first.events);
  return await rejection(imported(domain, copy));
}

const at = (events: Event[], kind: Event["payload"]["case"]) => {
  const event = events.find(({ payload }) => payload.case === kind);
  if (event === undefined) throw new Error(`the log has no ${kind}`);
  return event;
};

type Kind = NonNullable<Event["payload"]["case"]>;
type ValueOf<K extends Kind> = (Event["payload"] & { case: K })["value"];

function changed<K extends Kind>(kind: K, change: (value: ValueOf<K>) => void) {
  return (events: Event[]) => change(at(events, kind).payload.value as ValueOf<K>);
}

describe("a log that could not have come about is refused at the revision where it shows", () => {
  test("the log itself is taken", async () => {
    expect(kinds).toEqual(
      expect.arrayContaining([
        "compaction",
        "compactionReverted",
        "protectionChanged",
        "amendment",
      ]),
    );
    await using domain = await openTestDomain();
    expect((await imported(domain, parts)).session?.headRevision).toBe(kinds.length);
  });

  const cases: [string, (events: Event[]) => void, string][] = [
    [
      "a compaction behind itself",
      changed("compaction", ({ covered }) => {
        for (const range of covered) range.last += 900;
      }),
      "out of order, or behind itself",
    ],
    [
      "ranges out of order",
      changed("compaction", (value) => {
        value.covered = [{ ...value.covered[0], first: 9, last: 3 } as never];
      }),
      "out of order",
    ],
    [
      "a compaction that follows another",
      changed("compaction", (value) => {
        value.previousRevision = 2;
      }),
      "another compaction than the one in force",
    ],
    [
      "a compaction that takes nothing away",
      changed("compaction", (value) => {
        value.tokensAfter = value.tokensBefore + 1;
      }),
      "takes no tokens away",
    ],
    [
      "a revert of what is not in force",
      changed("compactionReverted", (value) => {
        value.revision = 2;
      }),
      "takes back 2, which is not in force",
    ],
    [
      "protection of what is to come",
      changed("protectionChanged", (value) => {
        value.revisions = [900];
      }),
      "protects 900",
    ],
    [
      "protection of a record",
      changed("protectionChanged", (value) => {
        value.revisions = [1];
      }),
      "protects 1",
    ],
    [
      "protection of one event twice",
      changed("protectionChanged", (value) => {
        value.revisions = [3, 3];
      }),
      "names a revision twice",
    ],
    ...[
      { of: 0, says: "it amends 0, which is not before it" },
      { of: 900, says: "it amends 900, which is not before it" },
      { of: 1, says: "it amends 1, which is no tool_call" },
      { of: 2, says: "it amends 2, which is no tool_call" },
    ].map(({ of, says }): [string, (events: Event[]) => void, string] => [
      `an amendment of ${of}`,
      changed("amendment", (value) => {
        value.revision = of;
      }),
      says,
    ]),
    [
      "an amendment with more tokens than can be counted",
      (events) => {
        const { tokens } = at(events, "amendment");
        if (tokens) tokens.count = 0xffff_ffff;
      },
      "more than a session can count",
    ],
    [
      "an event before its session",
      (events) => {
        for (const event of events.slice(0, 1)) event.createTime = timestampFromMs(1);
      },
      "create_time is before",
    ],
    [
      "an event without a time",
      (events) => {
        delete events[4]?.createTime;
      },
      "has no create_time",
    ],
    [
      "an event without a payload",
      (events) => {
        Object.assign(events[4] ?? {}, { payload: { case: undefined } });
      },
      "has no payload",
    ],
    [
      "an event without a role",
      (events) => {
        Object.assign(events[4] ?? {}, { role: Role.UNSPECIFIED });
      },
      "has no role",
    ],
    [
      "a second beginning",
      (events) => {
        Object.assign(events[4] ?? {}, { payload: events[0]?.payload, role: Role.UNSPECIFIED });
      },
      "starts a session that has started",
    ],
    [
      "no beginning",
      (events) => {
        Object.assign(events[0] ?? {}, { payload: events[1]?.payload, role: Role.USER });
      },
      "comes before session_started",
    ],
    [
      "a record this server does not know what to do with",
      (events) => {
        Object.assign(events[4] ?? {}, {
          group: 0,
          role: 0,
          payload: { case: "redaction", value: create(RedactionSchema) },
        });
      },
      "this server imports no redaction",
    ],
    ...[
      { revision: 0, says: "rewinds to a revision that is not before it" },
      { revision: 4, says: "rewinds to a revision that is not before it" },
      { revision: 9, says: "rewinds to a revision that is not before it" },
    ].map(({ revision, says }): [string, (events: Event[]) => void, string] => [
      `a rewind to ${revision}`,
      (events) => {
        const payload = { case: "rewind", value: create(RewindSchema, { revision }) };
        Object.assign(events[4] ?? {}, { group: 0, role: 0, payload });
      },
      says,
    ]),
    [
      "a fork of another revision",
      (events) => {
        Object.assign(events[4] ?? {}, {
          group: 0,
          role: 0,
          payload: { case: "forked", value: create(ForkedSchema, { parent: { revision: 9 } }) },
        });
      },
      "forks a session at another revision",
    ],
    ...[
      { patch: {}, says: "its patch is empty" },
      { patch: { "temp:a": 1 }, says: "which are not stored" },
      { patch: { "User:a": 1 }, says: "the prefix is written" },
      { patch: { a: "x".repeat(70_000) }, says: "the limit is 65536" },
    ].map(({ patch, says }): [string, (events: Event[]) => void, string] => [
      `a patch of the state that was never taken, ${says}`,
      (events) => {
        const payload = { case: "stateChanged", value: create(StateChangedSchema, { patch }) };
        Object.assign(events[4] ?? {}, { group: 0, role: 0, payload });
      },
      says,
    ]),
    [
      "more tokens than can be counted",
      (events) => {
        for (const event of events.slice(1, 4)) if (event.tokens) event.tokens.count = 0xffff_ffff;
      },
      "more than a session can count",
    ],
  ];
  test.each(cases)("%s", async (_, change, says) => {
    const error = await refusal(change);
    expect(error).toMatchObject({
      reason: "IMPORT_INVALID",
      message: expect.stringContaining(says),
    });
  });

  test("compactions that make it look at the same revisions again and again", () => {
    const groups = new GrowingNumbers();
    for (let revision = 1; revision <= 50_000; revision++) groups.push(revision);
    const log = new CompactionLog(groups);
    const compaction = create(CompactionSchema, { covered: [{ first: 2, last: 49_000 }] });
    let revision = 50_000;
    let state: unknown;
    do {
      revision += 2;
      state = log.add(revision, compaction, create(ContextStateSchema));
      if (typeof state !== "string") log.revert(revision);
    } while (typeof state !== "string" && revision < 60_000);
    expect(state).toContain("cover the same revisions too often");
  });
});
