import { link, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { checkFiles } from "../src/app-sink-files.ts";
import type { SinkConfig } from "../src/config-sinks.ts";
import { Secret } from "../src/config-summariser.ts";
import { StartError } from "../src/errors.ts";
import { openTestApp } from "./support/app.ts";

let at: string;
let data: string;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-sink-files-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  at = folder;
  data = join(folder, "data");
  await mkdir(data);
});

const common = { filter: "", redaction: { content: true, fields: [], patterns: [] } };

const file = (path: string): SinkConfig => ({
  type: "file",
  path,
  maxBytes: 1e6,
  keep: 1,
  ...common,
});

const hook = (deadLetters?: string): SinkConfig => ({
  type: "webhook",
  url: "http://127.0.0.1:1/",
  timeoutMs: 1,
  ...(deadLetters !== undefined && { deadLetters }),
  ...common,
});

async function sentence(sinks: Readonly<Record<string, SinkConfig>>): Promise<string> {
  const error = await checkFiles(sinks, data).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartError)) throw new Error(`expected a StartError, got ${error}`);
  return error.message;
}

it("files beside the data folder are taken, and those below its dead letters", async () => {
  const sinks = {
    a: file(join(at, "data-of-others/a.jsonl")),
    b: file(join(data, "dead-letters/other.jsonl")),
    c: hook(),
    d: hook(join(at, "dead.jsonl")),
  };
  await expect(checkFiles(sinks, data)).resolves.toBeUndefined();
});

it.each(["data.mdb", "x/y.jsonl", "dead-letters", "dead-letters/../e.jsonl", "."])(
  "%s in the data folder is refused",
  async (name) => {
    const path = `${data}/${name}`;
    const what = `${path} is in the data folder; give it a path elsewhere`;
    expect(await sentence({ a: file(path) })).toBe(`sinks.a.path: ${what}`);
    expect(await sentence({ a: hook(path) })).toBe(`sinks.a.dead_letters: ${what}`);
  },
);

it("a link does not lead into the data folder", async () => {
  await symlink(data, join(at, "link"));
  const path = join(at, "link/data.mdb");
  expect(await sentence({ a: file(path) })).toBe(
    `sinks.a.path: ${path} is in the data folder; give it a path elsewhere`,
  );
});

it("dead letters are no folder", async () => {
  await mkdir(join(at, "dead"));
  const path = join(at, "dead");
  expect(await sentence({ a: hook(path) })).toBe(
    `sinks.a.dead_letters: ${path} is a folder; give it the path of a file`,
  );
});

describe("two sinks in one file are found", () => {
  it("by a linked folder", async () => {
    await mkdir(join(at, "out"));
    await symlink(join(at, "out"), join(at, "link"));
    const path = join(at, "link/e.jsonl");
    expect(await sentence({ a: file(join(at, "out/e.jsonl")), b: file(path) })).toBe(
      `sinks.b.path: ${path} is written by sinks.a.path, too; give each its own`,
    );
  });

  it("by a linked file", async () => {
    await writeFile(join(at, "e.jsonl"), "");
    await link(join(at, "e.jsonl"), join(at, "f.jsonl"));
    await symlink(join(at, "e.jsonl"), join(at, "g.jsonl"));
    expect(
      await sentence({ a: file(join(at, "e.jsonl")), b: file(join(at, "g.jsonl")) }),
    ).toContain("is written by sinks.a.path, too");
    expect(
      await sentence({ a: file(join(at, "e.jsonl")), b: file(join(at, "f.jsonl")) }),
    ).toContain("is written by sinks.a.path, too");
  });

  it("where one keeps dead letters", async () => {
    const path = join(at, "e.jsonl");
    expect(await sentence({ a: file(path), b: hook(path) })).toBe(
      `sinks.b.dead_letters: ${path} is written by sinks.a.path, too; give each its own`,
    );
    expect(await sentence({ a: hook(path), b: hook(path) })).toBe(
      `sinks.b.dead_letters: ${path} is written by sinks.a.dead_letters, too; give each its own`,
    );
    const other = join(data, "dead-letters/a.jsonl");
    expect(await sentence({ a: hook(), b: file(other) })).toContain(
      "is written by sinks.a.dead_letters, too",
    );
  });
});

describe("a server does not start", () => {
  const start = (sinks: Readonly<Record<string, SinkConfig>>) =>
    openTestApp({ store: "lmdb", config: { data, sinks } });

  it("with a sink that would write into its store", async () => {
    await expect(start({ a: file(join(data, "data.mdb")) })).rejects.toThrow(
      /^sinks\.a\.path: .* is in the data folder; give it a path elsewhere$/,
    );
  });

  it("with a sink that would write into somebody else's file, which stays as it is", async () => {
    const path = join(at, "package.json");
    await writeFile(path, '{ "name": "mine" }');
    await expect(start({ a: file(path) })).rejects.toThrow(
      new StartError(
        `sinks.a: ${path} holds something that no sink wrote; give it a path of its own`,
      ),
    );
    expect(await readFile(path, "utf8")).toBe('{ "name": "mine" }');
  });

  it.each([
    ["not there", undefined, "the file with its key cannot be read (ENOENT)"],
    ["empty", "\n", "its key is empty, too long, or holds white space or signs beyond ASCII"],
  ])("with a webhook whose key file is %s", async (_what, content, said) => {
    const keyFile = join(at, "key");
    if (content !== undefined) await writeFile(keyFile, content);
    await expect(start({ a: { ...hook(), keyFile } as SinkConfig })).rejects.toThrow(
      new StartError(`sinks.a.key_file: ${said}; write a key into ${keyFile}`),
    );
  });

  it("with a webhook whose key in the environment cannot be one", async () => {
    const key = new Secret("two words");
    const error = await start({ a: { ...hook(), key } as SinkConfig }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StartError);
    expect((error as Error).message).toMatch(
      /^sinks\.a\.key_env: its key is empty, .*; set the variable to another$/,
    );
  });
});
