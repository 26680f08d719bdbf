import { describe, expect, test } from "vitest";
import { createLogger, toLine } from "../../src/telemetry/logger.ts";

function written() {
  const records: string[] = [];
  const log = createLogger({ level: "info" }, { write: (record) => void records.push(record) });
  return { log, records };
}

test("a record is one line of JSON with level, time and fields", () => {
  const { log, records } = written();
  log.warn({ session: "demo", tries: 2 }, "two\nlines");
  expect(records).toHaveLength(1);
  expect(records[0]).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(records[0] ?? "")).toEqual({
    level: "warn",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    session: "demo",
    tries: 2,
    msg: "two\nlines",
  });
});

test("records below the level are not written", () => {
  const { log, records } = written();
  log.debug("quiet");
  expect(records).toEqual([]);
});

describe("a readable line", () => {
  const record = { level: "info", time: "2026-01-02T03:04:05.678Z", msg: "ready" };

  test("has the time of day, level, message and fields", () => {
    const fields = { listen: "127.0.0.1:1", title: "two words", count: 3, list: ["a"] };
    expect(toLine(JSON.stringify({ ...record, ...fields }))).toBe(
      '03:04:05 info  ready  listen=127.0.0.1:1  title="two words"  count=3  list=["a"]',
    );
  });

  test("is followed by the stack of an error", () => {
    const { log, records } = written();
    log.error({ err: new TypeError("defect") }, "failed");
    expect(toLine(records[0] ?? "")).toMatch(/^[\d:]{8} error failed\nTypeError: defect\n +at /);
  });

  test("shows control characters of a field as escapes", () => {
    expect(toLine(JSON.stringify({ ...record, id: "\u001b[2Jx" }))).toContain('id="\\u001b[2Jx"');
  });
});
