import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resumeCommand } from "../../src/cli/tail/resume.ts";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

interface Line {
  readonly sessionId: string;
  readonly cursor: string;
  readonly event: { readonly revision: number; readonly message?: { readonly text: string } };
}

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const placesOf = (output: string) =>
  linesOf<Line>(output).map(({ sessionId, event }) => `${sessionId} ${event.revision}`);

/** Words of the command a tail printed when it was interrupted. */
function resumeArguments(stderr: string): string[] {
  const line = /resume with: sessiond (.*)\n/.exec(stderr)?.[1];
  if (line === undefined) throw new Error(`no command to resume in:\n${stderr}`);
  return line.split(" ");
}

describe("tail without -f", () => {
  test("ends at the end: of a session, of a namespace, of an empty one", async () => {
    const space = ["--namespace", "ends"];
    expect(await sessiond.ok("tail", ...space)).toBe("");
    await sessiond.ok("append", "a", "1", "--create", ...space);
    await sessiond.ok("append", "b", "2", "--create", ...space);
    await sessiond.ok("append", "a", "3", ...space);
    const all = await sessiond.ok("tail", ...space);
    expect(placesOf(all)).toEqual(["a 1", "a 2", "b 1", "b 2", "a 3"]);
    expect(placesOf(await sessiond.ok("tail", "--session", "a", ...space))).toEqual([
      "a 1",
      "a 2",
      "a 3",
    ]);
    const { cursor = "" } = linesOf<Line>(all).at(-1) ?? {};
    expect(await sessiond.ok("tail", "--since", cursor, ...space)).toBe("");
    await sessiond.ok("delete", "b", ...space);
    expect(placesOf(await sessiond.ok("tail", ...space))).toEqual(["a 1", "a 2", "a 3"]);
  });

  test("shows only the kinds and authors and times asked for", async () => {
    const space = ["--namespace", "filters"];
    await sessiond.ok("append", "s", "never", "--kind", "constraint", "--create", ...space);
    await sessiond.ok("append", "s", "hello", "--author", "alice", ...space);
    const revisions = async (...args: string[]) =>
      linesOf<Line>(await sessiond.ok("tail", ...space, ...args)).map(
        (line) => line.event.revision,
      );
    expect(await revisions("--kind", "constraint")).toEqual([2]);
    expect(await revisions("--author", "alice", "--author", "bob")).toEqual([3]);
    expect(await revisions("--since", "10m")).toEqual([1, 2, 3]);
    expect(await revisions("--since", "2020-01-01")).toEqual([1, 2, 3]);
    expect(await revisions("--since", "2199-01-01T00:00:00Z")).toEqual([]);
    expect(await revisions("--since", "now")).toEqual([]);
  });

  test("as json is one document", async () => {
    await sessiond.ok("append", "doc", "hello", "--create");
    const output = await sessiond.ok("tail", "--session", "doc", "-o", "json");
    expect(JSON.parse(output)).toHaveLength(2);
  });
});

describe("tail -f", () => {
  test("follows over a restart, and when interrupted names the command that resumes without gap or repeat", async () => {
    await sessiond.ok("append", "live", "1", "--create", "--namespace", "live");
    const args = ["--namespace", "live", "--session", "live"];
    const tail = sessiond.start("tail", "-f", ...args);
    await tail.says('"revision":2');
    await sessiond.restart();
    await sessiond.ok("append", "live", "2", "--namespace", "live");
    await tail.says('"revision":3');
    tail.child.kill("SIGINT");
    const { code, stdout, stderr } = await tail.ended;
    expect(code).toBe(130);
    expect(placesOf(stdout)).toEqual(["live 1", "live 2", "live 3"]);

    const batch = ["3", "4", "5"].map((text) => JSON.stringify({ message: { text } })).join("\n");
    await sessiond.runWith(batch, "append", "live", "--json", "--namespace", "live");
    const resumed = sessiond.start(...resumeArguments(stderr));
    await resumed.says('"revision":6');
    await sessiond.ok("append", "live", "6", "--namespace", "live");
    await resumed.says('"revision":7');
    resumed.child.kill("SIGTERM");
    const again = await resumed.ended;
    expect(again.code).toBe(143);
    expect(placesOf(again.stdout)).toEqual(["live 4", "live 5", "live 6", "live 7"]);
    expect(resumeArguments(again.stderr)).toEqual(expect.arrayContaining(["-f", "--session"]));
  });

  test("--since now shows what comes from now on, and resumes there also if nothing came", async () => {
    const space = ["--namespace", "now"];
    await sessiond.ok("append", "s", "before", "--create", ...space);
    const tail = sessiond.start("tail", "-f", "--since", "now", ...space);
    // It says nothing yet, so an event tells that it is there; one that it missed would be asked for again.
    let number = 0;
    const shown = tail.says('"text":"after');
    const isShown = shown.then(() => true);
    do await sessiond.ok("append", "s", `after ${number++}`, ...space);
    while (!(await Promise.race([isShown, sessiond.ok("sessions", ...space).then(() => false)])));
    tail.child.kill("SIGINT");
    const { stdout, stderr } = await tail.ended;
    expect(placesOf(stdout)).not.toContain("s 2");
    expect(resumeArguments(stderr)).toEqual(expect.arrayContaining(["--cursor"]));
  });

  test("resumes with the time it began at, because its place may be among older events", () => {
    const from = new Date("2026-01-31T12:00:00Z");
    expect(resumeCommand({ follow: true, since: "10m" }, { cursor: "c", from })).toBe(
      "sessiond tail -f --cursor c --since 2026-01-31T12:00:00.000Z",
    );
  });

  test("interrupted at any moment, resumes without gap or repeat", async () => {
    const space = ["--namespace", "cuts"];
    const batch = Array.from({ length: 50 }, (_, i) =>
      JSON.stringify({ message: { text: `${i}` } }),
    );
    await sessiond.ok("append", "s", "first", "--create", ...space);
    for (let i = 0; i < 6; i += 1) {
      await sessiond.runWith(batch.join("\n"), "append", "s", "--json", ...space);
    }
    const seen: string[] = [];
    let args = ["tail", "-f", "--namespace", "cuts"];
    for (const last of [20, 130, 302]) {
      const tail = sessiond.start(...args);
      // The signal comes while events are being printed, wherever that is; one before may have come
      // late and printed more.
      await tail.says(`"revision":${Math.max(last, seen.length + 1)}`);
      tail.child.kill("SIGINT");
      const { stdout, stderr } = await tail.ended;
      seen.push(...placesOf(stdout));
      if (seen.length >= 302) break;
      args = resumeArguments(stderr);
    }
    expect(seen).toEqual(Array.from({ length: 302 }, (_, i) => `s ${i + 1}`));
  });

  test("--until-ended ends with the session", async () => {
    await sessiond.ok("append", "short", "1", "--create");
    const tail = sessiond.start("tail", "--session", "short", "--until-ended");
    await tail.says('"revision":2');
    await sessiond.ok("end", "short");
    const { code, stdout } = await tail.ended;
    expect(code).toBe(0);
    expect(placesOf(stdout)).toEqual(["short 1", "short 2", "short 3"]);
  });
});
