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
import { fromConnectError, reliable, RevisionConflictError, runEvents, Sessiond, temporarySession, userSession } from "${entry}";
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
  const methods = await publicMethods();
  const functions = Object.entries({ ...client, ...web })
    .filter(([, value]) => typeof value === "function" && !/^class\b/.test(String(value)))
    .map(([name]) => name);
  const shown: string[] = [];
  for (const file of files) {
    const text = await readFile(join(sources, file), "utf8");
    for (const [, comment = "", margin, name = ""] of text.matchAll(declaration)) {
      if (comment.includes("```ts")) shown.push(margin === "" ? name : `${file} ${name}`);
    }
  }
  expect([...methods, ...functions].filter((name) => !shown.includes(name))).toEqual([]);
  // What is looked for is there: one of each way to become public.
  expect(methods).toEqual(
    expect.arrayContaining(["session.ts append", "sessions.ts list", "watch.ts open"]),
  );
  expect(methods).toEqual(expect.arrayContaining(["client.ts close"]));
  expect(functions).toEqual(expect.arrayContaining(["fromConnectError", "createWebTransport"]));
});

/** Methods of all classes that the packages export, as classes or as types, by file and name. */
async function publicMethods(): Promise<string[]> {
  const entries = ["index.ts", "shared.ts", "web/index.ts"].map((file) => join(sources, file));
  const exported = (await Promise.all(entries.map((file) => readFile(file, "utf8")))).join("\n");
  const methods: string[] = [];
  for (const file of files.filter((name) => !name.startsWith(".."))) {
    const module: Record<string, unknown> = await import(join(sources, file));
    for (const [name, value] of Object.entries(module)) {
      const isPublic = name in client || name in web || new RegExp(`\\b${name}\\b`).test(exported);
      if (!isPublic || !/^class\b/.test(String(value))) continue;
      const { prototype } = value as { prototype: object };
      for (const [method, { value: body }] of Object.entries(
        Object.getOwnPropertyDescriptors(prototype),
      )) {
        const isMethod = typeof body === "function" && !ofTheLanguage.has(method);
        if (isMethod) methods.push(`${file} ${method}`);
      }
    }
  }
  return methods;
}

/** A function or method with the comment right before it. */
const declaration =
  /((?:^ *\/\*\*\n(?: +\*.*\n)+)?)^( {2}|)(?:export )?(?:async )?(?:function\*? )?([a-z]\w+)(?:<[^()]+>)?\([^;]*?\{$/gm;

/** Protocols of the language: the class says what they are for. Protected ones of errors. */
const ofTheLanguage = new Set(["constructor", "next", "return", "then", "text", "number"]);

/** One module an example. Inside a function it may declare names of the surroundings anew. */
function moduleOf({ place, code }: Example): string {
  const sources = join(root, "src/testing.ts");
  if (/^import /m.test(code)) return code.replace("sessiond/testing", sources);
  const entry = place.startsWith("web/") ? "@sessiond/client/web" : "@sessiond/client";
  return `${surroundings(entry)}\nexport async function example() {\n${code}}\n`;
}

/** The compiler's complaints, with the place of each example. */
function named(printed: string): string {
  return printed.replaceAll(/\S*example-(\d+)\.ts/g, (_, index) => examples[index]?.place ?? "");
}
