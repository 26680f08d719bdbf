import type { JsonValue } from "@bufbuild/protobuf";
import {
  at,
  type Field,
  isBase64,
  isBoolean,
  isFilled,
  isList,
  isObject,
  isText,
  isTextOrList,
  listAt,
  optional,
  Report,
  type Rules,
  required,
  shapeRules,
  textAt,
  type Violation,
} from "./report.ts";

/** What the messages API refuses in `system` and `messages`. */
export const anthropicMessagesRules = {
  ...shapeRules,
  "no-messages": "There is at least one message.",
  "unknown-role": "A role is user or assistant; instructions go into `system`.",
  "first-role": "The first message is the user's.",
  alternation:
    "Users and the model take turns; the API would merge neighbours, we do it ourselves.",
  "last-role": "The last message is the user's: newer models do not continue their own.",
  "trailing-space": "When the last message is the model's, it does not end with white space.",
  "empty-content": "A message has content.",
  "blank-text": "A text has something else in it than white space.",
  "unknown-block": "A block is of a type that messages of its role may have.",
  "call-id": "The id of a tool use is made of letters, digits, _ and -.",
  "tool-name": "The name of a tool has 1 to 64 letters, digits, _ or -.",
  "call-id-repeated": "Tool uses have different ids, over all messages.",
  "call-without-result": "Every tool use has its result in the next message.",
  "result-without-call": "A tool result belongs to a tool use of the message before.",
  "result-repeated": "A tool use has one result.",
  "results-first": "Tool results stand before everything else in their message.",
  "error-result": "A result that is an error has content, and it is text.",
  "thinking-first": "Thinking stands before everything else in its message.",
  "thinking-last": "A message does not end with thinking.",
  "thinking-signature": "Thinking carries its signature.",
  "media-source":
    "An image or document is an address of the web, or bytes of a type that is taken.",
} as const satisfies Rules;

type MessagesReport = Report<keyof typeof anthropicMessagesRules>;

const type = required(isText);
const fieldsByType: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  text: { type, text: required(isText) },
  image: { type, source: required(isObject) },
  document: {
    type,
    source: required(isObject),
    title: optional(isFilled),
    context: optional(isFilled),
  },
  tool_use: { type, id: required(isText), name: required(isText), input: required(isObject) },
  tool_result: {
    type,
    tool_use_id: required(isText),
    content: optional(isTextOrList),
    is_error: optional(isBoolean),
  },
  thinking: { type, thinking: required(isText), signature: optional(isText) },
  redacted_thinking: { type, data: required(isFilled) },
};

const blocksByPlace = {
  system: ["text"],
  user: ["text", "image", "document", "tool_result"],
  assistant: ["text", "tool_use", "thinking", "redacted_thinking"],
  tool_result: ["text", "image", "document"],
} as const;

type Place = keyof typeof blocksByPlace;

/** What is wrong with the system prompt and the messages of a request to the messages API. */
export function validateAnthropicMessages(value: JsonValue): Violation[] {
  const report: MessagesReport = new Report();
  const fields = { system: optional(isTextOrList), messages: required(isList) };
  if (report.object(value, "body", fields) === undefined) return report.violations;
  const system = at(value, "system");
  if (isText(system ?? null)) report.check(isSaid(system), "system", "blank-text");
  if (isList(system ?? null)) checkBlocks(system, "system", "system", report);
  const messages = report.list(at(value, "messages") ?? [], "messages");
  report.check(messages.length > 0, "messages", "no-messages");
  for (const [message, path] of messages) checkMessage(message, path, report);
  checkRoles(messages, report);
  checkPairs(messages, report);
  return report.violations;
}

function checkMessage(message: JsonValue, path: string, report: MessagesReport): void {
  report.object(message, path, { role: required(isText), content: required(isTextOrList) });
  const role = textAt(message, "role");
  if (role !== "user" && role !== "assistant") {
    report.add(`${path}.role`, "unknown-role");
    return;
  }
  const content = at(message, "content");
  if (isText(content ?? null)) report.check(isSaid(content), `${path}.content`, "blank-text");
  if (!isList(content ?? null)) return;
  checkBlocks(content, role, `${path}.content`, report);
  if (role === "user") checkResultsFirst(message, path, report);
  else checkThinkingFirst(message, path, report);
}

function checkBlocks(
  value: JsonValue | undefined,
  place: Place,
  path: string,
  report: MessagesReport,
): void {
  const blocks = report.list(value, path);
  report.check(blocks.length > 0, path, "empty-content");
  const allowed: readonly string[] = blocksByPlace[place];
  for (const [block, blockPath] of blocks) {
    const kind = textAt(block, "type");
    const fields = allowed.includes(kind) ? fieldsByType[kind] : undefined;
    if (fields === undefined) report.add(blockPath, "unknown-block");
    else if (report.object(block, blockPath, fields)) checkBlock(block, kind, blockPath, report);
  }
}

function checkBlock(block: JsonValue, kind: string, path: string, report: MessagesReport): void {
  switch (kind) {
    case "text":
      report.check(isSaid(at(block, "text")), `${path}.text`, "blank-text");
      break;
    case "image":
    case "document":
      checkSource(at(block, "source"), kind, `${path}.source`, report);
      break;
    case "tool_use":
      report.check(/^[a-zA-Z0-9_-]+$/.test(textAt(block, "id")), `${path}.id`, "call-id");
      report.check(
        /^[a-zA-Z0-9_-]{1,64}$/.test(textAt(block, "name")),
        `${path}.name`,
        "tool-name",
      );
      break;
    case "tool_result":
      checkResult(block, path, report);
      break;
    case "thinking":
      report.check(textAt(block, "signature") !== "", `${path}.signature`, "thinking-signature");
  }
}

function checkResult(block: JsonValue, path: string, report: MessagesReport): void {
  const content = at(block, "content");
  const blocks = listAt(block, "content");
  // An empty result is nothing wrong, a list with nothing in it neither.
  if (blocks.length > 0) checkBlocks(content, "tool_result", `${path}.content`, report);
  if (at(block, "is_error") !== true) return;
  const says = blocks.length > 0 || (typeof content === "string" && content !== "");
  const isTextual = blocks.every((part) => textAt(part, "type") === "text");
  report.check(says && isTextual, `${path}.content`, "error-result");
}

function checkSource(
  source: JsonValue | undefined,
  kind: "image" | "document",
  path: string,
  report: MessagesReport,
): void {
  if (!isObject(source)) return;
  const address = /^https?:\/\/[^\s/]+/;
  const kindOfSource = textAt(source, "type");
  const mediaType = textAt(source, "media_type");
  const data = textAt(source, "data");
  const isImage = /^image\/(?:jpeg|png|gif|webp)$/.test(mediaType);
  const isTaken = kind === "image" ? isImage : mediaType === "application/pdf";
  const isSound =
    (kindOfSource === "url" && address.test(textAt(source, "url"))) ||
    (kindOfSource === "base64" && isTaken && data !== "" && isBase64(data)) ||
    (kindOfSource === "text" && kind === "document" && mediaType === "text/plain" && data !== "");
  report.check(isSound, path, "media-source");
}

function checkResultsFirst(message: JsonValue, path: string, report: MessagesReport): void {
  const types = listAt(message, "content").map((block) => textAt(block, "type"));
  const others = types.findIndex((kind) => kind !== "tool_result");
  const isLate = others !== -1 && types.includes("tool_result", others);
  report.check(!isLate, `${path}.content`, "results-first");
}

function checkThinkingFirst(message: JsonValue, path: string, report: MessagesReport): void {
  const thinks = listAt(message, "content").map((block) => isThinking(block));
  const others = thinks.indexOf(false);
  const isLate = others !== -1 && thinks.includes(true, others);
  report.check(!isLate, `${path}.content`, "thinking-first");
  report.check(thinks.at(-1) !== true, `${path}.content`, "thinking-last");
}

function checkRoles(messages: readonly [JsonValue, string][], report: MessagesReport): void {
  const roles = messages.map(([message]) => textAt(message, "role"));
  if (roles.length === 0) return;
  report.check(roles[0] === "user", "messages[0].role", "first-role");
  for (const [index, role] of roles.entries()) {
    if (index > 0 && role === roles[index - 1])
      report.add(`messages[${index}].role`, "alternation");
  }
  const [last, path] = messages.at(-1) ?? [null, ""];
  if (textAt(last, "role") !== "assistant") return;
  report.add(`${path}.role`, "last-role");
  const end = listAt(last, "content").at(-1) ?? null;
  const text = textAt(last, "content") || textAt(end, "text");
  report.check(text.trimEnd() === text, `${path}.content`, "trailing-space");
}

/** Results stand in the message behind the one that used the tools. */
function checkPairs(messages: readonly [JsonValue, string][], report: MessagesReport): void {
  const known = new Set<string>();
  let open = new Map<string, string>();
  let used = new Set<string>();
  const close = () => {
    for (const path of open.values()) report.add(path, "call-without-result");
  };
  for (const [message, path] of messages) {
    const uses = new Map<string, string>();
    for (const [index, block] of listAt(message, "content").entries()) {
      const blockPath = `${path}.content[${index}]`;
      if (textAt(block, "type") === "tool_use") {
        const id = textAt(block, "id");
        report.check(!known.has(id), `${blockPath}.id`, "call-id-repeated");
        known.add(id);
        uses.set(id, blockPath);
      } else if (textAt(block, "type") === "tool_result") {
        const id = textAt(block, "tool_use_id");
        if (!used.has(id)) report.add(blockPath, "result-without-call");
        else if (!open.delete(id)) report.add(blockPath, "result-repeated");
      }
    }
    close();
    open = uses;
    used = new Set(uses.keys());
  }
  close();
}

function isSaid(text: JsonValue | undefined): boolean {
  return typeof text !== "string" || text.trim() !== "";
}

function isThinking(block: JsonValue): boolean {
  return ["thinking", "redacted_thinking"].includes(textAt(block, "type"));
}
