import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { toSessionEvent } from "@sessiond/client";
import { EventSchema } from "@sessiond/contract";
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

test("an event of another day has its date, one of today only the time", () => {
  expect(toLine("s", at("2026-11-20T09:05:00"))).toBe("09:05:00     1  started\n");
  expect(toLine("s", at("2026-11-19T23:59:59"))).toBe("2026-11-19 23:59:59     1  started\n");
});
