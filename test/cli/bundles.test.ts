import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { Sessiond as Client } from "@sessiond/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

let sessiond: Sessiond;
/** A bundle of two sessions, without a time, so that it is the same whenever it is made. */
let bundle: string;
beforeAll(async () => {
  sessiond = await openSessiond();
  await sessiond.ok("append", "one", "to Kyoto", "--create");
  await sessiond.ok("append", "one", "only by train", "--kind", "constraint");
  await sessiond.ok("end", "one", "--reason", "done");
  const odd = String.raw`[{ "role":"user",  "content":"caf\u00e9 \/", "seed": 1.0 }]`;
  await file("odd.json", odd);
  await sessiond.ok("import", "--format", "openai-chat", "odd.json");
  bundle = await sessiond.ok("export", "--all", "--exported-at", "none");
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const at = (name: string) => join(sessiond.folder, name);
const file = (name: string, content: string | Buffer) => writeFile(at(name), content);
const space = (name: string) => ["--namespace", name];

/** A bundle without its manifest, which names its namespace. */
const withoutFirst = (text: string) => text.slice(text.indexOf("\n") + 1);

interface Outcome {
  readonly sessionId: string;
  readonly outcome: string;
  readonly events: number;
}

async function imported(text: string, ...args: readonly string[]) {
  await file("in.jsonl", text);
  const { code, stdout, stderr } = await sessiond.run("import", "in.jsonl", ...args);
  return { code, stderr, outcomes: linesOf<Outcome>(stdout) };
}

async function namesIn(namespace: string): Promise<string[]> {
  const lines = linesOf<{ sessionId: string }>(await sessiond.ok("sessions", ...space(namespace)));
  return lines.map(({ sessionId }) => sessionId).sort();
}

describe("a bundle", () => {
  test("exported, imported and exported again is the same bytes, but for its namespace", async () => {
    const { code, outcomes, stderr } = await imported(bundle, ...space("copy"));
    expect(code).toBe(0);
    expect(stderr).toBe("imported 2 sessions, 6 events\n");
    expect(outcomes.map(({ sessionId, outcome }) => [sessionId, outcome])).toEqual([
      ["one", "imported"],
      ["odd", "imported"],
    ]);
    const again = await sessiond.ok("export", "--all", "--exported-at", "none", ...space("copy"));
    expect(again.split("\n").slice(1)).toEqual(bundle.split("\n").slice(1));
  });

  test.each(["zst", "gz", "jsonl"])("goes to a file of .%s and comes from it", async (ending) => {
    const name = `all.${ending}`;
    await sessiond.ok("export", "--all", "--exported-at", "none", "-o", name);
    await expect(access(at(`${name}.partial`))).rejects.toThrow("ENOENT");
    await sessiond.ok("import", name, ...space(`of-${ending}`));
    expect(await namesIn(`of-${ending}`)).toEqual(["odd", "one"]);
    if (ending === "zst") {
      expect(zstdDecompressSync(await readFile(at(name))).toString()).toBe(bundle);
    }
  });

  test("holds what was chosen: names, or filters", async () => {
    const names = (text: string) =>
      linesOf<{ session?: { sessionId: string } }>(text).flatMap(
        ({ session }) => session?.sessionId ?? [],
      );
    expect(names(await sessiond.ok("export", "odd"))).toEqual(["odd"]);
    expect(names(await sessiond.ok("export", "--state", "completed"))).toEqual(["one"]);
    const filter = `session.session_id == "odd"`;
    expect(names(await sessiond.ok("export", "--filter", filter))).toEqual(["odd"]);
    expect(await sessiond.run("export")).toMatchObject({ code: 2 });
    expect(await sessiond.run("export", "nobody")).toMatchObject({ code: 4 });
  });

  test("keeps raw items byte for byte", async () => {
    const raw = await sessiond.ok("export", "odd", "--format", "openai-chat");
    expect(raw).toContain(String.raw`[{ "role":"user",  "content":"caf\u00e9 \/", "seed": 1.0 }]`);
  });
});

describe("a name that is taken", () => {
  test("is a problem, skipped, or gets another name", async () => {
    const into = space("taken");
    await imported(bundle, ...into);
    const failed = await imported(bundle, ...into);
    expect(failed.code).toBe(7);
    expect(failed.stderr).toContain('in.jsonl:2: session "one" exists');
    const skipped = await imported(bundle, "--on-conflict", "skip", ...into);
    expect(skipped).toMatchObject({
      code: 0,
      outcomes: [{ outcome: "skipped" }, { outcome: "skipped" }],
    });
    const renamed = await imported(bundle, "--on-conflict", "new-id", ...into);
    expect(renamed.outcomes.map(({ sessionId }) => sessionId)).toEqual(["one~1", "odd~1"]);
    const given = await imported(bundle, "--rename", "one=two", "--on-conflict", "skip", ...into);
    expect(given.outcomes[0]).toMatchObject({ sessionId: "two", outcome: "imported" });
  });

  test("is passed over with --resume only if the session is just that one", async () => {
    const into = space("resumed");
    await imported(bundle, ...into);
    await sessiond.ok("delete", "one", ...into);
    const resumed = await imported(bundle, "--resume", ...into);
    expect(resumed).toMatchObject({
      code: 0,
      outcomes: [{ outcome: "imported" }, { outcome: "present" }],
    });
    await sessiond.ok("append", "odd", "more", ...into);
    const changed = await imported(bundle, "--resume", ...into);
    expect(changed.code).toBe(7);
    expect(changed.stderr).toContain('session "odd" is there and is another');
  });

  test("is seen by a dry run, which stores nothing", async () => {
    const dry = await imported(bundle, "--dry-run", ...space("dry"));
    expect(dry).toMatchObject({
      code: 0,
      outcomes: [{ outcome: "checked" }, { outcome: "checked" }],
    });
    expect(await namesIn("dry")).toEqual([]);
  });
});

describe("a file that is wrong", () => {
  test("is named with its line, and what is right in it is imported", async () => {
    const text = bundle.replace("only by train", "only by plane");
    const { code, stderr, outcomes } = await imported(text, ...space("wrong"));
    expect(code).toBe(7);
    expect(stderr).toContain('in.jsonl:2: session "one" cannot be imported: its checksum is');
    expect(outcomes).toMatchObject([{ sessionId: "odd" }]);
  });

  test("without its manifest is a bundle all the same", async () => {
    const { code, stderr } = await imported(
      bundle.slice(bundle.indexOf("\n") + 1),
      ...space("bare"),
    );
    expect(code).toBe(7);
    expect(stderr).toContain("in.jsonl:1: a bundle begins with its manifest");
  });

  test("holds compressed data that ends too early", async () => {
    const whole = zstdCompressSync(Buffer.from(bundle));
    await file("cut.jsonl.zst", whole.subarray(0, whole.length - 20));
    const { code, stderr } = await sessiond.run(
      "import",
      "--format",
      "bundle",
      "cut.jsonl.zst",
      ...space("cut"),
    );
    expect(code).toBe(7);
    expect(stderr).toContain("cut.jsonl.zst");
    expect(await namesIn("cut")).toEqual([]);
  });
});

describe("conversations", () => {
  test("go out as indented JSON and come back under a new id, and out again", async () => {
    const text = await sessiond.ok(
      "export",
      "one",
      "--format",
      "json",
      "--exported-at",
      "2026-11-28T08:00:00Z",
    );
    expect(text).toContain(
      '{\n  "conversation_id": "one",\n  "exported_at": "2026-11-28T08:00:00.000Z",\n  "messages": [\n    {\n',
    );
    await file(
      "one.json",
      text.replace('"role": "user"', '"mood": "sunny",\n      "role": "user"'),
    );
    const [made] = linesOf<Outcome>(await sessiond.ok("import", "one.json"));
    expect(made?.sessionId).toMatch(/^one-[0-9a-f]{8}$/);
    const again = JSON.parse(
      await sessiond.ok("export", made?.sessionId ?? "", "--format", "json"),
    ) as {
      messages: object[];
    };
    expect(again.messages[0]).toMatchObject({ content: "to Kyoto", mood: "sunny" });
  });

  test("have the arguments that calls were given since, and what was said beside them", async () => {
    const call = (id: string, city: string) => ({
      id,
      type: "function",
      function: { name: "book", arguments: JSON.stringify({ city }) },
    });
    const messages = [
      { role: "user", content: "book both" },
      {
        role: "assistant",
        content: "I book them.",
        tool_calls: [call("a", "Kyoto"), call("b", "Moscow")],
      },
      { role: "tool", tool_call_id: "a", content: "booked", seen: 1 },
      { role: "tool", tool_call_id: "b", content: "booked too" },
    ];
    await file("calls.json", JSON.stringify(messages));
    await sessiond.ok("import", "--format", "openai-chat", "calls.json");
    const client = new Client(sessiond.server.address);
    const session = await client.sessions.get("calls");
    const { items } = await session.events();
    const second = items.findLast(({ type }) => type === "toolCall");
    await session.amendToolCall(second?.revision ?? 0, '{"city":"Nara"}');
    client.close();
    const texts = new Map<string, string>();
    for (const format of ["json", "openai-chat", "openai-responses", "anthropic", "transcript"]) {
      const args = ["export", "calls", "--format", format, "-o", format];
      const { stderr } = await sessiond.run(...args);
      // It counts all events, that of the amendment, too.
      expect(stderr).toContain(`exported 1 sessions, ${items.length + 1} events`);
      const text = await readFile(at(format), "utf8");
      texts.set(format, text);
      expect(text, format).not.toContain("Moscow");
      for (const said of ["I book them.", "Kyoto", "Nara", "booked too"]) {
        expect(text, format).toContain(said);
      }
    }
    const text = texts.get("openai-chat") ?? "";
    const [, answer, first] = (JSON.parse(text) as { messages: object[] }).messages;
    expect(answer).toEqual({
      role: "assistant",
      content: "I book them.",
      tool_calls: [call("a", "Kyoto"), call("b", "Nara")],
    });
    // Raw items of what nobody amended stay.
    expect(first).toEqual(messages[2]);
    const shown = await sessiond.ok("show", "calls", "--replay", "--speed", "max", "-o", "text");
    expect(shown).toMatch(new RegExp(`amendment +of ${second?.revision}: \\({"city":"Nara"}\\)`));
    const whole = await sessiond.ok("export", "calls", "--exported-at", "none");
    const copy = await imported(whole, ...space("calls"));
    expect(copy).toMatchObject({ code: 0, outcomes: [{ outcome: "imported" }] });
    const again = ["export", "calls", "--exported-at", "none", ...space("calls")];
    expect(withoutFirst(await sessiond.ok(...again))).toBe(withoutFirst(whole));
  });

  test("are Markdown for people", async () => {
    const text = await sessiond.ok("export", "one", "--format", "transcript");
    expect(text).toContain("# one\n");
    expect(text).toContain("**User:**\n\nto Kyoto\n");
  });
});
