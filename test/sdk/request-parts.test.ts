import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type DialectWord, type EventInput, Sessiond } from "@sessiond/client";
import { Role } from "@sessiond/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startInMemory } from "../../src/testing.ts";

const root = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
const dialects = ["openai-chat", "openai-responses", "anthropic", "gemini"] as const;
const png = "data:image/png;base64,aGVsbG8=";

/** Something of everything that a request can hold. */
const events: EventInput[] = [
  { role: "user", text: "What is on these?", author: "ada" },
  {
    payload: {
      case: "message",
      value: {
        text: "Look",
        parts: [
          { content: { case: "image", value: { uri: png, mediaType: "image/png" } } },
          { content: { case: "image", value: { uri: "https://example.org/a.png" } } },
          { content: { case: "file", value: { uri: "https://example.org/a.pdf", name: "a.pdf" } } },
          { content: { case: "file", value: { uri: "gs://bucket/a", mediaType: "text/plain" } } },
        ],
      },
    },
    role: Role.USER,
  },
  { role: "assistant", text: "I look them up.", author: "planner" },
  {
    toolCall: { callId: "c1", name: "look", arguments: { places: ["a", { deep: [1, null] }] } },
    raw: { format: "gemini", json: { thoughtSignature: "c2lnbmVk" } },
  },
  { toolCall: { callId: "c2", name: "look", arguments: "no json" } },
  {
    payload: {
      case: "toolResult",
      value: {
        callId: "c1",
        content: "Here",
        parts: [{ content: { case: "image", value: { uri: png, mediaType: "image/png" } } }],
      },
    },
  },
  { toolResult: { callId: "c2", content: "no such place", isError: true } },
  {
    payload: {
      case: "message",
      value: { text: "One.", parts: [{ content: { case: "text", value: "Two." } }] },
    },
    role: Role.ASSISTANT,
  },
  { role: "system", text: "Be brief." },
  { role: "user", text: "And now?" },
  // Thinking of older turns is left out.
  { thinking: { text: "Let me see.", signature: "c2lnbmVk" } },
  {
    thinking: "",
    raw: { format: "anthropic-messages", json: { type: "redacted_thinking", data: "aGlkZGVu" } },
  },
  {
    thinking: "",
    raw: {
      format: "openai-responses",
      json: {
        type: "reasoning",
        id: "rs_1",
        summary: [{ type: "summary_text", text: "Looked." }],
        encrypted_content: "c2VjcmV0",
      },
    },
  },
  { toolCall: { callId: "c3", name: "look" } },
];

const parts = new Map<DialectWord, unknown>();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-parts-"));
  await using server = await startInMemory();
  await using sessiond = new Sessiond(server.address);
  const session = await sessiond.sessions.create({ systemInstructions: "You see." });
  for (const event of events) await session.append(event);
  for (const dialect of dialects) parts.set(dialect, await session.messages(dialect));
});

afterAll(() => rm(folder, { recursive: true }));

test("what windows render is what the types of the client say, and no more", async () => {
  const client = join(root, "sdk/client/src/index.ts");
  const constants = [...parts].map(
    ([dialect, part], index) =>
      `export const part${index}: RequestParts["${dialect}"] = ${JSON.stringify(part, undefined, 1)};`,
  );
  const source = [`import type { RequestParts } from "${client}";`, ...constants].join("\n");
  await writeFile(join(folder, "parts.mts"), source);
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: { typeRoots: [join(root, "node_modules/@types")] },
    include: ["parts.mts"],
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  const printed = await run(join(root, "node_modules/.bin/tsc"), ["-p", folder]).then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout,
  );
  expect(printed).toBe("");
});

test("the compiler has seen every variant that the types name", () => {
  const seen = JSON.stringify([...parts.values()]);
  const variants = {
    chat: ["image_url", "tool_calls", '"role":"tool"', '"name":"ada"'],
    responses: ["input_text", "input_image", "input_file", "output_text", "reasoning"],
    calls: ["function_call_output", "encrypted_content"],
    anthropic: ["tool_use", "is_error", "redacted_thinking", "signature", "document", "base64"],
    gemini: ["functionCall", "functionResponse", "inlineData", "fileData", "thoughtSignature"],
  };
  expect(
    Object.values(variants)
      .flat()
      .filter((word) => !seen.includes(word)),
  ).toEqual([]);
});
