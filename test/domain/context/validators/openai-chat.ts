import type { JsonValue } from "@bufbuild/protobuf";
import {
  at,
  type Field,
  isFilled,
  isList,
  isMediaAddress,
  isObject,
  isObjectText,
  isText,
  isTextOrList,
  lengthOf,
  listAt,
  oneOf,
  optional,
  Report,
  type Rules,
  required,
  shapeRules,
  textAt,
  type Violation,
} from "./report.ts";

/** What chat completions refuse in `messages`. */
export const openAiChatRules = {
  ...shapeRules,
  "no-messages": "There is at least one message.",
  "too-many-messages": "There are at most 2,048 messages.",
  "unknown-role": "A role is system, developer, user, assistant or tool.",
  "no-content": "A message says something, or calls tools.",
  "empty-parts": "A list of parts has at least one part.",
  "unknown-part": "A part is of a type that messages of its role may have.",
  "media-address": "An image is an address of the web or a data URL.",
  "author-name": "A name has 1 to 64 characters and no space, <, |, \\, / or >.",
  "no-calls": "A list of tool calls has 1 to 128 calls.",
  "call-id": "The id of a tool call has 1 to 40 characters.",
  "tool-name": "The name of a tool has 1 to 64 letters, digits, _ or -.",
  "arguments-object":
    "Arguments are the JSON text of an object; servers that follow the API parse them.",
  "call-id-repeated": "The calls of one message have different ids.",
  "call-without-result": "Every call has its result before anything else is said.",
  "result-without-call": "A result stands behind the message that called, or behind its siblings.",
  "result-of-other-call": "A result names a call of the message it stands behind.",
  "result-repeated": "A call has one result.",
} as const satisfies Rules;

type ChatReport = Report<keyof typeof openAiChatRules>;

const name = optional(isText);
const said = { role: required(isText), content: required(isTextOrList), name };
const fieldsByRole: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  system: said,
  developer: said,
  user: said,
  assistant: {
    role: required(isText),
    content: optional((value) => value === null || isTextOrList(value)),
    refusal: optional((value) => value === null || isText(value)),
    name,
    tool_calls: optional(isList),
  },
  tool: {
    role: required(isText),
    content: required(isTextOrList),
    tool_call_id: required(isFilled),
  },
};

const partsByRole: Readonly<Record<string, readonly string[]>> = {
  system: ["text"],
  developer: ["text"],
  user: ["text", "image_url", "file"],
  assistant: ["text", "refusal"],
  tool: ["text"],
};

/** What is wrong with the messages of a request to chat completions. */
export function validateOpenAiChat(value: JsonValue): Violation[] {
  const report: ChatReport = new Report();
  const messages = report.list(value, "messages");
  if (Array.isArray(value)) report.check(value.length > 0, "messages", "no-messages");
  report.check(messages.length <= 2_048, "messages", "too-many-messages");
  for (const [message, path] of messages) checkMessage(message, path, report);
  checkPairs(messages, report);
  return report.violations;
}

function checkMessage(value: JsonValue, path: string, report: ChatReport): void {
  const role = textAt(value, "role");
  const fields = Object.hasOwn(fieldsByRole, role) ? fieldsByRole[role] : undefined;
  if (fields === undefined && isObject(value)) {
    report.add(`${path}.role`, "unknown-role");
    return;
  }
  const message = report.object(value, path, fields ?? {});
  if (message === undefined) return;
  const content = at(message, "content");
  const isSilent = content === undefined || content === null;
  if (role === "assistant" && isSilent) {
    const speaks = at(message, "tool_calls") !== undefined || textAt(message, "refusal") !== "";
    report.check(speaks, `${path}.content`, "no-content");
  }
  if (isList(content ?? null)) checkParts(message, `${path}.content`, report);
  if (at(message, "name") !== undefined) {
    const isName = /^[^\s<|\\/>]{1,64}$/u.test(textAt(message, "name"));
    report.check(isName, `${path}.name`, "author-name");
  }
  if (isList(at(message, "tool_calls") ?? null)) checkCalls(message, path, report);
}

function checkParts(message: JsonValue, path: string, report: ChatReport): void {
  const parts = report.list(at(message, "content"), path);
  report.check(parts.length > 0, path, "empty-parts");
  for (const [part, partPath] of parts) {
    const type = textAt(part, "type");
    if (!partsByRole[textAt(message, "role")]?.includes(type)) {
      report.add(partPath, "unknown-part");
      continue;
    }
    const content = type === "text" || type === "refusal" ? isText : isObject;
    report.object(part, partPath, { type: required(isText), [type]: required(content) });
    if (type === "image_url") checkImage(at(part, type), `${partPath}.image_url`, report);
    if (type === "file") checkFile(at(part, type), `${partPath}.file`, report);
  }
}

function checkImage(image: JsonValue | undefined, path: string, report: ChatReport): void {
  if (!isObject(image)) return;
  const detail = optional(oneOf("auto", "low", "high"));
  report.object(image, path, { url: required(isText), detail });
  report.check(isMediaAddress(textAt(image, "url")), `${path}.url`, "media-address");
}

function checkFile(file: JsonValue | undefined, path: string, report: ChatReport): void {
  if (!isObject(file)) return;
  const fields = ["file_id", "file_data", "filename"] as const;
  report.object(file, path, Object.fromEntries(fields.map((field) => [field, optional(isFilled)])));
  const hasBytes = "file_data" in file && "filename" in file;
  report.check("file_id" in file || hasBytes, path, "missing-field");
}

function checkCalls(message: JsonValue, path: string, report: ChatReport): void {
  const calls = report.list(at(message, "tool_calls"), `${path}.tool_calls`);
  report.check(calls.length > 0 && calls.length <= 128, `${path}.tool_calls`, "no-calls");
  const ids = new Set<string>();
  for (const [call, callPath] of calls) {
    const fields = {
      id: required(isText),
      type: required(oneOf("function")),
      function: required(isObject),
    };
    if (report.object(call, callPath, fields) === undefined) continue;
    const id = textAt(call, "id");
    report.check(id !== "" && lengthOf(id) <= 40, `${callPath}.id`, "call-id");
    report.check(!ids.has(id), `${callPath}.id`, "call-id-repeated");
    ids.add(id);
    const tool = at(call, "function");
    if (!isObject(tool)) continue;
    const toolPath = `${callPath}.function`;
    report.object(tool, toolPath, { name: required(isText), arguments: required(isText) });
    const isName = /^[a-zA-Z0-9_-]{1,64}$/.test(textAt(tool, "name"));
    report.check(isName, `${toolPath}.name`, "tool-name");
    const isArguments = isObjectText(textAt(tool, "arguments"));
    report.check(isArguments, `${toolPath}.arguments`, "arguments-object");
  }
}

/** Results follow the message that called at once, one for each call. */
function checkPairs(messages: readonly [JsonValue, string][], report: ChatReport): void {
  let round: { readonly path: string; readonly waiting: Set<string>; readonly ids: Set<string> } = {
    path: "",
    waiting: new Set(),
    ids: new Set(),
  };
  const close = () => {
    if (round.waiting.size > 0) report.add(round.path, "call-without-result");
  };
  for (const [message, path] of messages) {
    if (textAt(message, "role") !== "tool") {
      close();
      const ids = listAt(message, "tool_calls").map((call) => textAt(call, "id"));
      round = { path, waiting: new Set(ids), ids: new Set(ids) };
      continue;
    }
    const id = textAt(message, "tool_call_id");
    if (round.ids.size === 0) report.add(path, "result-without-call");
    else if (!round.ids.has(id)) report.add(path, "result-of-other-call");
    else if (!round.waiting.delete(id)) report.add(path, "result-repeated");
  }
  close();
}
