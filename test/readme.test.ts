import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  ContextService,
  EventService,
  MetricsService,
  ServerService,
  SessionService,
} from "@sessiond/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadConfig } from "../src/config.ts";
import { type ServerProcess, startServer } from "./support/server-process.ts";

const root = new URL("..", import.meta.url).pathname;
const run = promisify(execFile);
const uuid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const cursor = /\bA[\w-]{38}(?![\w-])/g;

/** Code that the README shows with what it prints: `<!-- run: NAME -->`, a block, a block. */
async function examples() {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const pattern = /<!-- run: (\S+) -->\n```(\w+)\n([\s\S]*?)```\n\n```\n([\s\S]*?)```/g;
  return [...readme.matchAll(pattern)].map(([, name = "", language, code = "", printed = ""]) => ({
    name,
    language,
    code,
    printed,
  }));
}

let server: ServerProcess;
let data: string;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "sessiond-readme-"));
  server = await startServer({ data, args: ["--probe-listen", "127.0.0.1:0"] });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(data, { recursive: true });
});

/** Code that calls this server in place of one at the default addresses. */
function here(code: string): string {
  const calls = code.replaceAll("localhost:7377", server.address);
  return calls.replaceAll("localhost:7378", server.probe);
}

const shown = await examples();

test("the first 35 lines of the README are enough for a first session", async () => {
  const lines = (await readFile(join(root, "README.md"), "utf8")).split("\n").slice(0, 35);
  const first = lines.join("\n");
  for (const part of [
    "npm ci && npm start",
    "npm ci && npm test",
    "curl -s",
    "\n2 message I want",
  ]) {
    expect(first).toContain(part);
  }
});

test("the README shows code with what it prints", () => {
  expect(shown.map(({ name }) => name)).toEqual([
    "first-session",
    "namespace-watch",
    "consumer",
    "state",
    "fork",
    "rewind",
    "window",
    "a-run",
    "aggregates",
    "first-event",
    "stream",
    "error",
    "metrics",
  ]);
});

test.each(shown)("what the README shows at $name is what comes out", async (example) => {
  const { language, code, printed } = example;
  const { stdout } =
    language === "ts"
      ? await run(process.execPath, ["--input-type=module-typescript", "--eval", code], {
          cwd: root,
          env: { ...process.env, SESSIOND_ADDRESS: server.address },
        })
      : await run("bash", ["-c", here(code)]);
  const comparable = (text: string) =>
    text.replaceAll(uuid, "UID").replaceAll(cursor, "CURSOR").trimEnd();
  expect(comparable(stdout)).toBe(comparable(printed));
});

test("the calls that the README has for a REST API are in the contract, and do what they say", async () => {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const rows = [...readme.matchAll(/^\| `[A-Z]+ \/.*?` \| `(GET )?(\/.*?)` \| (?:`(.*?)` )?\|$/gm)];
  expect(rows).toHaveLength(9);
  const paths = new Set(
    [SessionService, EventService, ContextService, MetricsService, ServerService].flatMap(
      ({ typeName, methods }) => methods.map(({ name }) => `/${typeName}/${name}`),
    ),
  );
  for (const [, get, path = "", body = ""] of rows) {
    const answer =
      get === undefined
        ? await fetch(`http://${server.address}${path}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body,
          })
        : await fetch(`http://${server.address}${path}`);
    if (get === undefined) expect([...paths]).toContain(path);
    expect([path, answer.status]).toEqual([path, 200]);
    await answer.body?.cancel();
  }
});

test("the configuration that the README shows is taken", async () => {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const files = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  expect(files.length).toBeGreaterThan(0);
  for (const [index, text] of files.entries()) {
    const file = join(data, `readme-${index}.yaml`);
    await writeFile(file, text);
    const { tableSources } = await loadConfig({ flags: { config: file }, env: {}, cwd: data });
    expect(Object.values(tableSources).some(({ value }) => value !== undefined)).toBe(true);
  }
});
