import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../src");

/** What the files of a part of the tree may import from the rest of it, beside their own part. */
const allowed = {
  transport: ["domain", "store/store.ts", "errors.ts", "limits.ts", "version.ts"],
  domain: ["store", "completions", "errors.ts", "limits.ts", "ids.ts", "cursor.ts"],
  store: ["errors.ts", "limits.ts", "ids.ts"],
  sinks: [
    "domain",
    "store/store.ts",
    "store/encoded.ts",
    "completions",
    "errors.ts",
    "limits.ts",
    "cursor.ts",
    "version.ts",
  ],
  completions: [],
  telemetry: [],
} as const satisfies Record<string, readonly string[]>;

/** Each library has one home folder. */
const homes: Readonly<Record<string, string>> = {
  "@connectrpc/connect": "transport",
  "@connectrpc/connect-node": "transport",
  "@grpc/grpc-js": "transport",
  "@grpc/reflection": "transport",
  "grpc-health-check": "transport",
  lmdb: "store/lmdb",
  "fs-native-extensions": "store/lmdb",
  tiktoken: "domain/tokens",
  "@bufbuild/cel": "domain/cel",
  "@bufbuild/cel-spec": "domain/cel",
  stemmer: "domain/context/retrieve",
  cockatiel: "domain/context/summarisers",
  re2js: "sinks/redaction",
  pino: "telemetry",
  "@prometheus-io/client": "telemetry",
  "@opentelemetry/otlp-transformer": "sinks/otlp",
  commander: "cli",
  "cli-table3": "cli",
};

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
  .map((file) => ({ file, imports: importsOf(readFileSync(join(root, file), "utf8")) }));

function importsOf(source: string): string[] {
  const pattern = /(?:from|import\()\s*"([^"]+)"|^import "([^"]+)"/gm;
  return [...source.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? "");
}

function inside(path: string, part: string): boolean {
  return path === part || path.startsWith(`${part}/`);
}

test("imports go from transport to domain to store, never upwards", () => {
  const wrong = files.flatMap(({ file, imports }) => {
    const part = Object.keys(allowed).find((name) => inside(file, name));
    if (part === undefined) return [];
    const mayImport = [part, ...allowed[part as keyof typeof allowed]];
    return imports
      .filter((name) => name.startsWith("."))
      .map((name) => relative(root, resolve(root, dirname(file), name)))
      .filter((target) => !mayImport.some((name) => inside(target, name)))
      .map((target) => `${file} imports ${target}`);
  });
  expect(wrong).toEqual([]);
});

test("engines of the store know only the store's own files, and not each other", () => {
  const wrong = files.flatMap(({ file, imports }) => {
    const engine = ["store/lmdb", "store/memory"].find((folder) => inside(file, folder));
    if (engine === undefined) return [];
    return imports
      .filter((name) => name.startsWith("."))
      .map((name) => relative(root, resolve(root, dirname(file), name)))
      .filter((target) => /^store\/\w+\//.test(target) && !inside(target, engine))
      .map((target) => `${file} imports ${target}`);
  });
  expect(wrong).toEqual([]);
});

test("each library is imported in its home folder only", () => {
  const wrong = files.flatMap(({ file, imports }) =>
    imports
      .map((name) => Object.keys(homes).find((library) => inside(name, library)))
      .filter((library) => library !== undefined && !inside(file, homes[library] ?? ""))
      .map((library) => `${file} imports ${library}`),
  );
  expect(wrong).toEqual([]);
});

test("the sources that are checked are there", () => {
  expect(files.length).toBeGreaterThan(50);
  expect(files.flatMap(({ imports }) => imports).length).toBeGreaterThan(200);
});
