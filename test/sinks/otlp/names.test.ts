import { readFileSync } from "node:fs";
import * as semconv from "@opentelemetry/semantic-conventions/incubating";
import { expect, test } from "vitest";
import * as names from "../../../src/sinks/otlp/names.ts";

const constants: Readonly<Record<string, unknown>> = { ...semconv };

test("names are those of the release of the semantic conventions that is pinned", () => {
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(devDependencies["@opentelemetry/semantic-conventions"]).toBe(names.semconvVersion);
  for (const [constant, name] of Object.entries({ ...names.standard, ...names.operations })) {
    expect([constant, constants[constant]]).toEqual([constant, name]);
  }
});

test("names of our own have our prefix, and stand for one thing each", () => {
  const own = [
    ...Object.values(names.own),
    ...Object.values(names.eventNames),
    ...Object.values(names.noticeNames),
  ];
  for (const name of own) expect(name).toMatch(/^sessiond\.[a-z]+(?:[._][a-z]+)*$/);
  expect(new Set(own).size).toBe(own.length);
});

test.each([
  ["gpt-5", "openai"],
  ["o3-mini", "openai"],
  ["claude-sonnet-4", "anthropic"],
  ["gemini-2.5-pro", "gcp.gemini"],
  ["deepseek-chat", "deepseek"],
  ["mistral-large", "mistral_ai"],
  ["my-own", undefined],
  ["", undefined],
])("the provider of %s is %s", (model, provider) => {
  expect(names.providerOf(model)).toBe(provider);
  const values = Object.entries(constants)
    .filter(([constant]) => constant.startsWith("GEN_AI_PROVIDER_NAME_VALUE_"))
    .map(([, value]) => value);
  if (provider !== undefined) expect(values).toContain(provider);
});
