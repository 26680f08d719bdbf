import { Dialect, type WindowItem } from "@sessiond/contract";
import { expect, test } from "vitest";
import { render } from "../../../../src/domain/context/dialects/render.ts";
import {
  assistant,
  call,
  conversation,
  eventOf,
  failure,
  file,
  image,
  itemsOf,
  pixel,
  result,
  shown,
  system,
  thinking,
  user,
} from "./support.ts";

type Block = Record<string, unknown> & { content?: unknown };

const rendered = (items: WindowItem[]) =>
  render(Dialect.ANTHROPIC_MESSAGES, items) as {
    system?: string;
    messages: { role: string; content: Block[] }[];
  };
const text = (words: string) => ({ type: "text", text: words });

test("a conversation becomes system and messages of Anthropic", () => {
  expect(rendered(conversation())).toEqual({
    system: "You find bugs.",
    messages: [
      {
        role: "user",
        content: [
          text("Summary of what came before (untrusted): the build broke."),
          text("What is on this screen?"),
          {
            type: "image",
            source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" },
          },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Look at both.", signature: "c2lnbmVk" },
          text("I look at the log and the code."),
          { type: "tool_use", id: "call_log", name: "read_log", input: { lines: 20 } },
          { type: "tool_use", id: "call_code", name: "read_file", input: { path: "a.ts" } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "call_log", content: "TypeError at a.ts:7" },
          {
            type: "tool_result",
            tool_use_id: "call_code",
            content: "no such file",
            is_error: true,
          },
          text("[researcher] said: a.ts was moved to b.ts."),
        ],
      },
      { role: "assistant", content: [text("The file was moved.")] },
      { role: "user", content: [text("Continue.")] },
    ],
  });
});

test("Never rejected: the first message and the last are the user's, and roles alternate", () => {
  const items = itemsOf(assistant("one"), assistant("two", { group: 2 }));
  expect(rendered(items)).toEqual({
    messages: [
      { role: "user", content: [text("[The conversation begins here.]")] },
      { role: "assistant", content: [text("one"), text("two")] },
      { role: "user", content: [text("Continue.")] },
    ],
  });
  expect(rendered([]).messages).toEqual([
    { role: "user", content: [text("[The conversation begins here.]")] },
  ]);
});

test("Never rejected: ids of calls are legal and unique over the request", () => {
  const { messages } = rendered(
    itemsOf(
      user("go"),
      call("call_1", "f", "{}", { group: 2 }),
      result("call_1", "first", { group: 2 }),
      call("call_1", "f", "{}", { group: 3 }),
      call("call.2", "f", "{}", { group: 3 }),
      result("call_1", "second", { group: 3 }),
      result("call.2", "third", { group: 3 }),
    ),
  );
  const uses = messages.flatMap(({ content }) => content.flatMap(({ id }) => id ?? []));
  const answers = messages.flatMap(({ content }) =>
    content.flatMap(({ tool_use_id: id }) => id ?? []),
  );
  expect(answers).toEqual(uses);
  expect(new Set(uses).size).toBe(3);
  expect(uses[0]).toBe("call_1");
  expect(uses.every((id) => /^[a-zA-Z0-9_-]+$/.test(String(id)))).toBe(true);
});

test("the beginning of a request is the same whatever follows", () => {
  const turn = (group: number) => [
    call("call_1", "f", "{}", { group }),
    result("call_1", "1", { group }),
  ];
  const short = rendered(itemsOf(user("go"), ...turn(2), ...turn(3)));
  const long = rendered(itemsOf(user("go"), ...turn(2), ...turn(3), ...turn(4)));
  expect(long.messages.slice(0, short.messages.length)).toEqual(short.messages);
});

test.each([
  ["", {}],
  ['{"a":[1]}', { a: [1] }],
  ["[1]", { arguments: [1] }],
  ["null", { arguments: null }],
  ['"x"', { arguments: "x" }],
  ['{"cut": "of', { arguments: '{"cut": "of' }],
  ['{"n":1e999}', { arguments: '{"n":1e999}' }],
  ['{"half":"\\ud800"}', { arguments: '{"half":"\\ud800"}' }],
  ['{"id":1234567890123456789}', { id: "1234567890123456789" }],
])("Never rejected: the input of a call with arguments %j is an object", (args, input) => {
  const { messages } = rendered(itemsOf(user("go"), call("a", "f", args), result("a", "1")));
  expect(messages[1]?.content).toEqual([{ type: "tool_use", id: "a", name: "f", input }]);
});

test("Never rejected: arguments too deep to be read back are shown as text", () => {
  const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  const { messages } = rendered(itemsOf(user("go"), call("a", "f", deep), result("a", "1")));
  expect(messages[1]?.content).toMatchObject([{ input: { arguments: deep } }]);
});

test("Never rejected: no text is empty or only white space", () => {
  const { system: instructions, messages } = rendered(
    itemsOf(
      system(" "),
      user("\u0085\ufeff\n"),
      assistant(" ", { group: 2 }),
      call("a", "f", "{}", { group: 2 }),
      result("a", "\n", { group: 2 }),
    ),
  );
  expect(instructions).toBeUndefined();
  expect(messages).toEqual([
    { role: "user", content: [text("[empty]")] },
    { role: "assistant", content: [{ type: "tool_use", id: "a", name: "f", input: {} }] },
    {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: "a", content: "[no output]" }],
    },
  ]);
});

test("Never rejected: a thought is first in its message, or left out", () => {
  const { messages } = rendered(
    itemsOf(
      user("go"),
      assistant("one", { group: 2 }),
      thinking("hm", "sig", { group: 3 }),
      assistant("two", { group: 3 }),
    ),
  );
  expect(messages[1]?.content).toEqual([text("one"), text("two")]);
});

test("Never rejected: a thought that nothing follows is left out", () => {
  const { messages } = rendered(itemsOf(user("go"), thinking("hm", "sig", { group: 2 })));
  expect(messages).toEqual([{ role: "user", content: [text("go")] }]);
});

test.each([
  ["without a signature", thinking("hm")],
  ["without its text", thinking("", "sig")],
  [
    "with another provider's signature",
    thinking("hm", "sig", { raw: { format: "openai-responses", json: '{"type":"reasoning"}' } }),
  ],
  ["with a broken form", thinking("", "", { raw: { format: "anthropic-messages", json: "{" } })],
])("Never rejected: a thought %s is left out", (_, thought) => {
  const { messages } = rendered(itemsOf(user("go", { group: 0 }), thought, assistant("so")));
  expect(messages[1]?.content).toEqual([text("so")]);
});

test.each([
  [{ type: "thinking", thinking: "hm", signature: "own" }],
  [{ type: "redacted_thinking", data: "c2VjcmV0" }],
])("a thought in Anthropic's own form is passed on: %j", (block) => {
  const raw = { format: "anthropic-messages", json: JSON.stringify(block) };
  const { messages } = rendered(
    itemsOf(user("go", { group: 0 }), thinking("", "", { raw }), assistant("so")),
  );
  expect(messages[1]?.content).toEqual([block, text("so")]);
});

test("system messages in the middle are texts of the user's side, behind tool results", () => {
  const { messages } = rendered(
    itemsOf(
      user("go"),
      call("a", "f", "{}", { group: 2 }),
      result("a", "1", { group: 2 }),
      system("Be brief."),
    ),
  );
  expect(messages[2]?.content).toEqual([
    { type: "tool_result", tool_use_id: "a", content: "1" },
    text("[system] Be brief."),
  ]);
});

test("images and PDFs are blocks where Anthropic takes them, else text references", () => {
  const { messages } = rendered(
    itemsOf(
      shown(
        "see",
        image("https://example.com/a.png"),
        image("http://example.com/b.png"),
        image("https://example.com/c.tiff", "image/tiff"),
        file("https://example.com/d.pdf"),
        file("https://example.com/e.csv", "text/csv", "e"),
      ),
    ),
  );
  expect(messages[0]?.content).toEqual([
    text("see"),
    { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
    text("[image: http://example.com/b.png]"),
    text("[image: https://example.com/c.tiff]"),
    { type: "document", source: { type: "url", url: "https://example.com/d.pdf" } },
    text("[file: e https://example.com/e.csv]"),
  ]);
});

test("Never rejected: a result that is an error holds texts only", () => {
  const value = { callId: "a", content: "shot", parts: [image(pixel)] };
  const contents = [false, true].map((isError) => {
    const answer = eventOf({ payload: { case: "toolResult", value: { ...value, isError } } });
    return rendered(itemsOf(call("a", "f"), answer)).messages[2]?.content[0]?.content;
  });
  expect(contents).toEqual([
    [text("shot"), expect.objectContaining({ type: "image" })],
    [text("shot"), text("[image: data:image/png;base64]")],
  ]);
  expect(rendered(itemsOf(call("a", "f"), failure("a", ""))).messages[2]?.content).toEqual([
    { type: "tool_result", tool_use_id: "a", content: "[no output]", is_error: true },
  ]);
});
