import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isOfSink } from "../src/app-sinks.ts";
import { openTestApp } from "./support/app.ts";

test("sinks with a filter hear of deletions only when they say so", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-deletions-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const sink = (name: string, more: { filter: string; deletions?: boolean }) => ({
    type: "file" as const,
    path: join(folder, name),
    maxBytes: 1e6,
    keep: 1,
    redaction: { content: true, fields: [], patterns: [] },
    ...more,
  });
  const filter = 'event.text == "shown"';
  const sinks = {
    whole: sink("whole", { filter: "" }),
    silent: sink("silent", { filter: "", deletions: false }),
    filtered: sink("filtered", { filter }),
    told: sink("told", { filter, deletions: true }),
  };
  {
    await using app = await openTestApp({ config: { sinks } });
    const { events, sessions } = app.clients;
    const append = (sessionId: string, text: string) =>
      events.appendEvents({
        sessionId,
        createIfMissing: true,
        events: [{ payload: { case: "message", value: { text } } }],
      });
    await append("gone", "hidden");
    await sessions.deleteSession({ sessionId: "gone" });
    await append("there", "shown");
  }
  // The end of a server delivers what is there.
  const heard = async (name: string) => {
    const lines = (await readFile(join(folder, name), "utf8")).trim().split("\n");
    expect(lines.some((line) => line.includes('"text":"shown"'))).toBe(true);
    return lines.some((line) => line.includes('"sessionDeleted"'));
  };
  const hears = await Promise.all(Object.keys(sinks).map(heard));
  expect(hears).toEqual([true, false, false, true]);
});

test("consumers are of the sinks that are configured, in the namespaces that these read", () => {
  const redaction = { content: true, fields: [], patterns: [] };
  const stdout = { type: "stdout" as const, filter: "", redaction };
  const sinks = { all: stdout, some: { ...stdout, namespaces: ["a"] } };
  const isThere = isOfSink({ sinks });
  const names = ["sink.all", "sink.some", "sink.other", "all"];
  const inNamespace = (namespace: string) => names.filter((name) => isThere({ namespace, name }));
  expect(inNamespace("a")).toEqual(["sink.all", "sink.some"]);
  expect(inNamespace("b")).toEqual(["sink.all"]);
});
