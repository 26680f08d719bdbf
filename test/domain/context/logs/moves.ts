import fc from "fast-check";

/** What may happen next in a log; numbers choose among what is there when it happens. */
export type Move =
  | { readonly kind: "user"; readonly text: string; readonly parts: readonly Media[] }
  | { readonly kind: "protected"; readonly text: string; readonly as: string }
  | { readonly kind: "system"; readonly text: string }
  | { readonly kind: "say"; readonly agent: string; readonly text: string }
  | { readonly kind: "think"; readonly agent: string; readonly text: string; readonly sign: string }
  | { readonly kind: "call"; readonly agent: string; readonly calls: readonly Call[] }
  | { readonly kind: "again"; readonly agent: string; readonly pick: number; readonly call: Call }
  | { readonly kind: "result"; readonly pick: number; readonly result: Result }
  | { readonly kind: "results" }
  | { readonly kind: "progress"; readonly pick: number; readonly text: string }
  | { readonly kind: "second"; readonly pick: number; readonly text: string }
  | { readonly kind: "orphan"; readonly id: string; readonly text: string }
  | { readonly kind: "ask"; readonly pick: number; readonly prompt: string }
  | { readonly kind: "approve"; readonly pick: number; readonly approved: boolean }
  | { readonly kind: "handoff"; readonly agent: string }
  | { readonly kind: "output"; readonly agent: string; readonly text: string }
  | { readonly kind: "note"; readonly as: string }
  | { readonly kind: "wait" };

export interface Call {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

export interface Result {
  readonly text: string;
  readonly isError: boolean;
  readonly parts: readonly Media[];
}

export interface Media {
  readonly kind: "text" | "image" | "file";
  readonly uri: string;
  readonly mediaType: string;
}

const agents = fc.constantFrom("", "planner", "booker", "Größe Nr. 2 <3");

/** Short, empty, blank, odd and, rarely, huge. */
const texts = fc.oneof(
  { weight: 10, arbitrary: fc.lorem({ maxCount: 12 }) },
  { weight: 2, arbitrary: fc.constantFrom("", " ", "\n\t", "trailing ") },
  { weight: 1, arbitrary: fc.constantFrom("<|endoftext|>", "\0", "👩‍🚀 e\u0301", '{"a": 1}') },
  {
    weight: 1,
    arbitrary: fc.nat(4).map((size) => "many words of one text ".repeat(10 ** size / 5)),
  },
);

const ids = fc.oneof(
  { weight: 6, arbitrary: fc.nat(999).map((number) => `call_${number}`) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "functions.look:0",
      "a b",
      "приём",
      "x".repeat(41),
      "x".repeat(65),
      "x".repeat(200),
      `${"x".repeat(199)}y`,
      "__proto__",
      "call:1",
      "call_1",
      "call-1",
    ),
  },
);

const names = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("look", "files_read", "mcp__web__search") },
  {
    weight: 2,
    arbitrary: fc.constantFrom("files.read", "1st", "größe", "a b", "n".repeat(65), "-", "ns:tool"),
  },
);

const args = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.dictionary(fc.lorem({ maxCount: 1 }), fc.nat()).map((d) => JSON.stringify(d)),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "",
      "null",
      "[1]",
      '"text"',
      '{"path": "/et',
      "7",
      '{"__proto__": 1}',
      '{"a": 1e999}',
    ),
  },
);

const media: fc.Arbitrary<Media> = fc.record({
  kind: fc.constantFrom("text", "image", "file"),
  uri: fc.constantFrom(
    "https://example.org/a.png",
    "gs://bucket/a",
    "sha256:00ff",
    "data:image/png;base64,aGk=",
    "data:text/plain,hi",
    "a file",
  ),
  mediaType: fc.constantFrom("", "image/png", "application/pdf", "application/zip", "text/plain"),
});

const parts = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Media[]>([]) },
  { weight: 1, arbitrary: fc.array(media, { minLength: 1, maxLength: 3 }) },
);

const call: fc.Arbitrary<Call> = fc.record({ id: ids, name: names, arguments: args });
const pick = fc.nat(7);
const kinds = fc.constantFrom("constraint", "goal", "auth_checkpoint");

const user = fc.record({ kind: fc.constant("user"), text: texts, parts });
const result = fc.record({ text: texts, isError: fc.boolean(), parts });

/** One thing that happens; most often what agents mostly do. */
export const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 4, arbitrary: user },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("protected"), text: texts, as: kinds }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("system"), text: texts }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("say"), agent: agents, text: texts }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("think"),
      agent: agents,
      text: texts,
      sign: fc.constantFrom("", "c2ln", "not base64!"),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("call"),
      agent: agents,
      calls: fc.array(call, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("again"), agent: agents, pick, call }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("result"), pick, result }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("results") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("progress"), pick, text: texts }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("second"), pick, text: texts }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("orphan"), id: ids, text: texts }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("ask"), pick, prompt: texts }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("approve"), pick, approved: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("handoff"), agent: agents }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("output"), agent: agents, text: texts }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("note"), as: fc.oneof(kinds, fc.constant("")) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait") }) },
);
