import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import * as client from "@sessiond/client";
import * as web from "@sessiond/client/web";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const sources = join(root, "sdk/client/src");
const run = promisify(execFile);

/** What the examples of the client for Node or for browsers take for granted. */
const surroundings = (entry: string) => `
import { fromConnectError, reliable, RevisionConflictError, Sessiond } from "${entry}";
import { createGrpcTransport, toSessionEvent, type EventInput, type Session } from "@sessiond/client";
import { createWebTransport } from "@sessiond/client/web";
import { startInMemory } from "${join(root, "src/testing.ts")}";
import { createClient } from "@connectrpc/connect";
import { EventService } from "@sessiond/contract";
declare const sessiond: Sessiond;
declare const session: Session;
declare const event: EventInput;
declare const load: () => Promise<string>;
declare const save: (cursor: string) => Promise<void>;
`;

interface Example {
  /** Place of the example, for example `session.ts:92`. */
  readonly place: string;
  readonly code: string;
}

async function examplesOf(file: string): Promise<Example[]> {
  const text = await readFile(join(sources, file), "utf8");
  const blocks = [...text.matchAll(/^( *\* )?```ts\n([\s\S]*?)^( *\* )?```$/gm)];
  return blocks.map(([block, margin, code = ""]) => ({
    place: `${file}:${text.slice(0, text.indexOf(block)).split("\n").length}`,
    code: margin === undefined ? code : code.replaceAll(/^ *\* ?/gm, ""),
  }));
}

const files = [
  ...(await readdir(sources, { recursive: true })).filter((file) => file.endsWith(".ts")),
  ...["../README.md", "../../contract/README.md", "../../../src/testing.ts"],
];
const examples = (await Promise.all(files.map(examplesOf))).flat();

test("every example in the documentation of the packages compiles", async () => {
  expect(examples.length).toBeGreaterThan(15);
  const folder = await mkdtemp(join(tmpdir(), "sessiond-examples-"));
  try {
    await symlink(join(root, "node_modules"), join(folder, "node_modules"));
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    for (const [index, example] of examples.entries()) {
      await writeFile(join(folder, `example-${index}.ts`), moduleOf(example));
    }
    const config = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noUnusedLocals: false,
        typeRoots: [join(root, "node_modules/@types")],
      },
      include: ["*.ts", join(root, "src/**/*.d.ts")],
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
    const printed = await run(join(root, "node_modules/.bin/tsc"), ["-p", folder]).then(
      () => "",
      ({ stdout }: { stdout: string }) => named(stdout),
    );
    expect(printed).toBe("");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("every public method and function of the client has an example", async () => {
  const functions = Object.entries({ ...client, ...web })
    .filter(([, value]) => typeof value === "function" && !/^class\b/.test(String(value)))
    .map(([name]) => name);
  const seen: string[] = [];
  const missing: string[] = [];
  for (const file of files) {
    const text = await readFile(join(sources, file), "utf8");
    const isClass = ["client.ts", "session.ts", "sessions.ts", "watch.ts"].includes(file);
    for (const [, comment = "", margin, name = ""] of text.matchAll(declaration)) {
      const isPublic =
        margin === "" ? functions.includes(name) : isClass && !ofTheLanguage.has(name);
      if (!isPublic) continue;
      seen.push(name);
      if (!comment.includes("```ts")) missing.push(`${file} ${name}`);
    }
  }
  expect(missing).toEqual([]);
  expect(seen).toEqual(expect.arrayContaining([...functions, "append", "watch", "list", "close"]));
});

/** A function or method with the comment right before it. */
const declaration =
  /((?:^ *\/\*\*\n(?: +\*.*\n)+)?)^( {2}|)(?:export )?(?:async )?(?:function )?([a-z]\w+)(?:<\w+>)?\([^;]*?\{$/gm;

/** What a language protocol or a statement looks like; the class says what they are for. */
const ofTheLanguage = new Set(["constructor", "next", "return", "if", "for"]);

/** One module an example. Inside a function it may declare names of the surroundings anew. */
function moduleOf({ place, code }: Example): string {
  const sources = join(root, "src/testing.ts");
  if (code.includes("import {")) return code.replace("sessiond/testing", sources);
  const entry = place.startsWith("web/") ? "@sessiond/client/web" : "@sessiond/client";
  return `${surroundings(entry)}\nexport async function example() {\n${code}}\n`;
}

/** The compiler's complaints, with the place of each example. */
function named(printed: string): string {
  return printed.replaceAll(/\S*example-(\d+)\.ts/g, (_, index) => examples[index]?.place ?? "");
}
