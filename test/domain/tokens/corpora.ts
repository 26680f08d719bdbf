import { existsSync, readFileSync } from "node:fs";

const realRuns = new URL("../../../../shared/data/tau-bench-airline.jsonl", import.meta.url);

/** Numbers that look random and are the same in every run. */
function* numbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state >>> 8;
  }
}

const source = numbers(7);

function pick<T>(values: readonly T[]): T {
  const value = values[source.next().value % values.length];
  if (value === undefined) throw new Error("nothing to pick from");
  return value;
}

function many(length: number, make: (index: number) => string): string {
  return Array.from({ length }, (_, index) => make(index)).join("");
}

const subjects = ["The harbour master", "My sister", "A tired clerk", "Nobody in the village"];
const verbs = ["remembered", "was looking for", "repaired", "quietly sold", "never trusted"];
const objects = ["the old ferry", "a letter from Lisbon", "seven unpaid bills", "that clock"];
const ends = ["before it rained", "although the office was closed", "and left", "once again"];

function sentence(): string {
  return `${pick(subjects)} ${pick(verbs)} ${pick(objects)} ${pick(ends)}. `;
}

function codeLine(index: number): string {
  const name = `${pick(["load", "parse", "merge", "send"])}${pick(["Row", "Page", "Index"])}${index}`;
  return `export function ${name}(input: readonly string[]): number {\n  return input.filter((x) => x !== "").length * ${index};\n}\n\n`;
}

const chinese = [
  "我想下个月去日本旅行，请帮我订机票。",
  "预算是八千元，最好不要转机。",
  "昨天的会议改到了星期五下午三点。",
  "请把这份报告翻译成英文，然后发给经理。",
];

const bytes = (length: number) => Buffer.from(Array.from({ length }, () => source.next().value));
const hex = (length: number) =>
  bytes(Math.ceil(length / 2))
    .toString("hex")
    .slice(0, length);

const records = Array.from({ length: 120 }, (_, index) => ({
  id: `ord_${hex(12)}`,
  total: (source.next().value % 100_000) / 100,
  paid: index % 3 === 0,
  items: [{ sku: `SKU-${index}-${hex(4).toUpperCase()}`, quantity: 1 + (index % 5) }],
  placed_at: `2030-01-${String(1 + (index % 28)).padStart(2, "0")}T08:${10 + (index % 50)}:00Z`,
}));

/** Texts of every kind that agents handle, made up, the same in every run. */
export const corpora: Readonly<Record<string, string>> = {
  prose: many(300, sentence),
  code: many(120, codeLine),
  json: JSON.stringify(records, undefined, 2),
  "json in one line": JSON.stringify(records),
  chinese: many(200, () => pick(chinese)),
  base64: bytes(12_000).toString("base64"),
  hex: hex(12_000),
  uuids: many(200, () => `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}\n`),
  numbers: many(1_000, () => `${source.next().value / 1_000} `),
  punctuation: many(2_000, () => pick(["{", "}", "();", "=>", "?.", "<|", "//", "\\n", "&&"])),
  emoji: many(500, () => pick(["😀", "🚀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇳🇴"])),
  "one letter": "a".repeat(10_000),
  "chinese in one run": many(1_000, () => pick(chinese).replace(/[，。]/g, "")),
};

/** Texts of real runs; undefined where they are not at hand. */
export function readRealRuns(): string[] | undefined {
  if (!existsSync(realRuns)) return undefined;
  const lines = readFileSync(realRuns, "utf8").split("\n").filter(Boolean);
  return lines.flatMap((line) => {
    const run = JSON.parse(line) as { messages: { content: string | null }[] };
    return run.messages.flatMap(({ content }) => content || []);
  });
}
