import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sessiond } from "@sessiond/client";
import { build, transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { version } from "../../src/version.ts";
import { needs } from "../support/needs.ts";
import { startOtlpReceiver } from "../support/otlp-receiver.ts";
import { type InstalledServer, startInstalled } from "./packages/installed-server.ts";
import {
  environmentOf,
  installAll,
  packAll,
  readmeExamples,
  root,
  run,
  type Tarball,
} from "./packages/pack.ts";

const uuid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const cursor = /\bA[\w-]{38}(?![\w-])/g;
/** Packing compiles, and installing may ask the registry. */
const slowMs = 240_000;

/** A configuration in YAML, and a sink that needs a thread of its own. */
const withSink = `sinks:
  audit: { type: file, path: events.jsonl, redact: { patterns: ['\\b\\d{16}\\b'] } }
`;

let folder: string;
let user: string;
let tarballs: Readonly<Record<string, Tarball>>;
let server: InstalledServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-packages-"));
  user = join(folder, "user");
  tarballs = await packAll(folder);
  await installAll(user, Object.values(tarballs));
  await writeFile(join(user, "sessiond.yaml"), withSink);
  server = await startInstalled(user);
}, slowMs);

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test("the packages hold JavaScript with types, and no sources", () => {
  for (const [name, { files }] of Object.entries(tarballs)) {
    const sources = files.filter((file) => /(?<!\.d)\.ts$/.test(file));
    expect([name, sources]).toEqual([name, []]);
    expect(files.some((file) => file.endsWith(".js"))).toBe(true);
    expect(files.some((file) => file.endsWith(".d.ts"))).toBe(true);
    expect(files).toContain("LICENSE");
    expect(files).toContain("README.md");
  }
});

describe("installed into an empty folder", async () => {
  const examples = await readmeExamples();

  /** Code that calls this server in place of one at the default addresses. */
  const here = (code: string) =>
    code.replaceAll("localhost:7377", server.address).replaceAll("localhost:7378", server.probe);

  test.each(examples)("what the README shows at $name is what comes out", async (example) => {
    const { name, language, code, printed } = example;
    const variables = { SESSIOND_ADDRESS: server.address };
    const options = { cwd: user, env: environmentOf(process.execPath, variables) };
    await writeFile(join(user, `${name}.ts`), code);
    const { stdout } =
      language === "ts"
        ? await run("node", [`${name}.ts`], options)
        : await run("bash", ["-c", here(code)], options);
    const comparable = (text: string) =>
      text.replaceAll(uuid, "UID").replaceAll(cursor, "CURSOR").trimEnd();
    expect(comparable(stdout)).toBe(comparable(printed));
  });

  test("the packages of the README's install line are there, and npx runs the command", async () => {
    const readme = await readFile(join(root, "README.md"), "utf8");
    const [, names = ""] = /^npm install ([^#\n]+)/m.exec(readme) ?? [];
    const known = Object.keys(tarballs);
    expect(
      names
        .trim()
        .split(" ")
        .filter((name) => !known.includes(name)),
    ).toEqual([]);
    expect(names).toContain("@sessiond/client");
    const env = environmentOf(process.execPath);
    const { stdout } = await run("npx", ["--no", "--", "sessiond", "--version"], {
      cwd: user,
      env,
    });
    expect(stdout.trim()).toBe(version);
  });

  test("the command counts tokens exactly and serves reflection", async () => {
    const code = `
      import { Sessiond } from "@sessiond/client";
      const sessiond = new Sessiond(process.env.SESSIOND_ADDRESS);
      const session = await sessiond.sessions.create();
      const { message } = await session.append({ role: "user", text: "Japan next month" });
      console.log(JSON.stringify(message.events[0].tokens));
      sessiond.close();`;
    await writeFile(join(user, "tokens.mjs"), code);
    const env = environmentOf(process.execPath, { SESSIOND_ADDRESS: server.address });
    const { stdout } = await run("node", ["tokens.mjs"], { cwd: user, env });
    expect(JSON.parse(stdout)).toMatchObject({ count: 3, encoding: "o200k_base", accuracy: 1 });
    const list = ["curl", "--http2-prior-knowledge", "--protocol", "grpc", "--list-methods"];
    const buf = join(root, "node_modules/.bin/buf");
    const { stdout: methods } = await run(buf, [...list, `http://${server.address}`]);
    expect(methods).toContain("sessiond.v1.EventService/WatchEvents");
  });

  test("a sink writes what its patterns leave", async () => {
    await using sessiond = new Sessiond({ address: server.address });
    const session = await sessiond.sessions.create({ sessionId: "with-a-sink" });
    await session.append({ role: "user", text: "card 4111111111111111" });
    const lines = () => readFile(join(user, "events.jsonl"), "utf8");
    await expect.poll(lines, { timeout: 10_000 }).toContain('{"text":"card [redacted]"}');
    expect(await lines()).not.toContain("4111");
  });

  test("sessiond/testing starts a server in the process of a test", async () => {
    const code = `
      import { Sessiond } from "@sessiond/client";
      import { startInMemory } from "sessiond/testing";
      const server = await startInMemory();
      const sessiond = new Sessiond(server.address);
      const session = await sessiond.sessions.create({ sessionId: "user-42" });
      console.log((await session.append({ role: "user", text: "hi" })).isDurable);
      sessiond.close();
      await server.stop();`;
    await writeFile(join(user, "testing.mjs"), code);
    const env = environmentOf(process.execPath);
    const { stdout } = await run("node", ["testing.mjs"], { cwd: user, env });
    expect(stdout).toBe("false\n");
  });

  test("an otlp sink finds its thread, and its collector gets spans and log records", async () => {
    await using receiver = await startOtlpReceiver();
    const config = join(user, "otlp.yaml");
    await writeFile(config, `sinks: { collector: { type: otlp, endpoint: "${receiver.url}" } }`);
    const options = ["--config", config, "--data", join(folder, "otlp")];
    await using other = await startInstalled(user, options);
    await using sessiond = new Sessiond(other.address);
    const session = await sessiond.sessions.create({ sessionId: "user-42", agentId: "travel" });
    await session.end();
    await receiver.until(() => receiver.spans.length > 0);
    expect(receiver.spans.map(({ name }) => name)).toEqual(["invoke_agent travel"]);
    expect(receiver.logs.length).toBe(2);
  });

  test("pino finds its transport, and what is logged last is stored", async () => {
    // A dependency of this repository, as the user would have installed it.
    await symlink(join(root, "node_modules/pino"), join(user, "node_modules/pino"));
    const code = `
      import pino from "pino";
      const options = { sessionId: "logged", address: process.env.SESSIOND_ADDRESS };
      pino({ transport: { target: "@sessiond/client/pino", options } }).info("found 3 papers");`;
    await writeFile(join(user, "logging.mjs"), code);
    const env = environmentOf(process.execPath, { SESSIOND_ADDRESS: server.address });
    expect(await run("node", ["logging.mjs"], { cwd: user, env })).toMatchObject({ stderr: "" });
    await using sessiond = new Sessiond(server.address);
    const session = await sessiond.sessions.get("logged");
    const { items } = await session.events();
    expect(items.at(-1)?.message.payload).toMatchObject({ case: "custom", value: { type: "log" } });
  });

  test("a program of the user's is checked against the types", async () => {
    const right = `
      import { type AppendResult, RevisionConflictError, Sessiond } from "@sessiond/client";
      import sessionLog, { type LogOptions } from "@sessiond/client/pino";
      import { Sessiond as WebSessiond } from "@sessiond/client/web";
      import { EventSchema, type Event } from "@sessiond/contract";
      import { ErrorInfoSchema } from "@sessiond/contract/rpc";
      import { startInMemory } from "sessiond/testing";
      await using server = await startInMemory();
      await using sessiond = new Sessiond(server.address);
      const session = await sessiond.sessions.getOrCreate("a", { preset: "conversation" });
      const result: AppendResult = await session.append({ role: "user", text: "hi" });
      for await (const event of session.watch()) {
        const message: Event = event.message;
        console.log(result.headRevision, message.revision, EventSchema, ErrorInfoSchema);
      }
      export const actual = (error: unknown) =>
        error instanceof RevisionConflictError ? error.actual.toFixed() : undefined;
      const options: LogOptions = { sessionId: "a-log", level: "info", fields: { parent: "a" } };
      sessionLog(options).end();
      export const web: WebSessiond = new WebSessiond("http://127.0.0.1:7377");`;
    await writeFile(join(user, "right.ts"), right);
    await writeFile(join(user, "wrong.ts"), right.replace('"conversation"', '"conversations"'));
    const flags = [
      "--module",
      "nodenext",
      "--target",
      "es2022",
      "--lib",
      "es2023,esnext.disposable,dom",
    ];
    const check = (file: string) =>
      run(
        join(root, "node_modules/.bin/tsc"),
        [
          ...["--noEmit", "--strict", ...flags],
          ...["--types", "node", "--typeRoots", join(root, "node_modules/@types"), file],
        ],
        { cwd: user },
      ).then(
        () => "",
        ({ stdout }: { stdout: string }) => stdout,
      );
    expect(await check("right.ts")).toBe("");
    expect(await check("wrong.ts")).toContain('"conversations"');
  });

  test("the client for browsers can be bundled, without anything of Node", async () => {
    const { metafile } = await build({
      stdin: { contents: 'export * from "@sessiond/client/web"', resolveDir: user },
      bundle: true,
      format: "esm",
      platform: "browser",
      write: false,
      metafile: true,
      logLevel: "silent",
    });
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.some((file) => file.includes("@sessiond/client/dist/web/"))).toBe(true);
    expect(inputs.filter((file) => file.includes("grpc-js"))).toEqual([]);
  });

  const oldNode = nodeOfMachine();
  test.skipIf(oldNode === undefined)("the client works with Node 20", async () => {
    await using fresh = await startInstalled(await freshUser());
    const example = examples.find(({ name }) => name === "first-session");
    const { code = "", printed } = example ?? {};
    // Node 20 has neither types nor `await using`; both are the user's compiler's.
    const plain = await transform(code, { loader: "ts", target: "node20" });
    await writeFile(join(user, "old.mjs"), plain.code);
    const env = environmentOf(oldNode ?? "", { SESSIOND_ADDRESS: fresh.address });
    const { stdout } = await run(oldNode ?? "", ["old.mjs"], { cwd: user, env });
    expect(stdout).toBe(printed);
  });

  test.skipIf(oldNode === undefined)("the command says that it needs a newer Node", async () => {
    const command = join(user, "node_modules/sessiond/dist/main.js");
    const failed: unknown = await run(oldNode ?? "", [command, "serve"]).catch((e: unknown) => e);
    expect(failed).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^sessiond needs Node 24 or newer, this is v20\.\S+ at \//),
    });
  });

  test("a start finds what the engine compiled for the one before", async () => {
    const command = join(user, "node_modules/sessiond/dist/main.js");
    const env = environmentOf(process.execPath, { NODE_DEBUG_NATIVE: "COMPILE_CACHE" });
    const start = () => run(process.execPath, [command, "--version"], { env });
    await start();
    const { stderr } = await start();
    expect(stderr).toMatch(/code cache for ESM file:\S+\/dist\/\S+ was accepted/);
  });

  /** The same packages, and no data. */
  async function freshUser(): Promise<string> {
    const other = join(folder, "other");
    await installAll(other, Object.values(tarballs));
    return other;
  }
});

/** The machine's own Node, if it is version 20: the one on the PATH outside this repository. */
function nodeOfMachine(): string | undefined {
  const { PATH = "" } = process.env;
  const node = PATH.split(":")
    .filter((part) => !part.includes("node_modules"))
    .map((part) => join(part, "node"))
    .find((file) => existsSync(file));
  const is20 = () =>
    node !== undefined && /^v20\./.test(execFileSync(node, ["--version"], { encoding: "utf8" }));
  return needs("Node 20 on the PATH", is20) ? node : undefined;
}
