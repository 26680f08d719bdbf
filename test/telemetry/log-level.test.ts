import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RunningLogLevel } from "../../src/telemetry/log-level.ts";
import { createLogger } from "../../src/telemetry/logger.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function running() {
  const records: string[] = [];
  const log = createLogger({ level: "info" }, { write: (record) => void records.push(record) });
  const level = new RunningLogLevel({ log, configured: "info" });
  const messages = () => records.map((record) => (JSON.parse(record) as { msg: string }).msg);
  return { log, level, messages };
}

test("a level that is set counts at once, and is told", () => {
  const { log, level, messages } = running();
  log.debug("before");
  expect(level.set("debug")).toBe("info");
  log.debug("after");
  expect(level.current).toBe("debug");
  expect(messages()).toEqual(["the log level changed", "after"]);
});

test("after its time the level of the configuration is back", () => {
  const { log, level, messages } = running();
  level.set("error", 1_000);
  vi.advanceTimersByTime(999);
  log.info("unheard");
  vi.advanceTimersByTime(1);
  log.info("heard");
  expect(messages()).toEqual(["the log level changed", "the log level changed", "heard"]);
});

test("a level set later outlasts the time of the one before", () => {
  const { level } = running();
  level.set("debug", 1_000);
  level.set("trace");
  vi.advanceTimersByTime(10_000);
  expect(level.current).toBe("trace");
  expect(level.set()).toBe("trace");
  expect(level.current).toBe("info");
});

test("setting the same level again is not told", () => {
  const { level, messages } = running();
  level.set("info", 1_000);
  vi.advanceTimersByTime(1_000);
  expect(messages()).toEqual([]);
});
