import type { JsonValue } from "@bufbuild/protobuf";
import {
  at,
  isFilled,
  isList,
  isMediaAddress,
  isObject,
  isObjectText,
  isText,
  isTextOrList,
  lengthOf,
  oneOf,
  optional,
  Report,
  type Rules,
  required,
  shapeRules,
  textAt,
  type Violation,
} from "./report.ts";

/** What the responses API refuses in `input`. */
export const openAiResponsesRules = {
  ...shapeRules,
  "no-items": "There is at least one item.",
  "unknown-item": "An item is a message, a function call, its output, or reasoning.",
  "unknown-role": "A role is system, developer, user or assistant.",
  "empty-parts": "A list of parts has at least one part.",
  "unknown-part": "Who is asked sends input_ parts, the model output_text and refusal.",
  "media-address": "An image or file is an address of the web, a data URL, or the id of a file.",
  "item-id": "The id of an item begins with msg_, fc_ or rs_, as its type wants.",
  "item-id-repeated": "Items have different ids.",
  "call-id": "The call_id of a call has 1 to 64 characters.",
  "tool-name": "The name of a tool has 1 to 64 letters, digits, _ or -.",
  "arguments-object":
    "Arguments are the JSON text of an object; servers that follow the API parse them.",
  "call-id-repeated": "Calls have different ids.",
  "call-without-output": "Every call has an output.",
  "output-without-call": "An output stands somewhere behind its call.",
  "output-repeated": "A call has one output.",
  "reasoning-alone": "What the model said or called stands at once behind its reasoning.",
} as const satisfies Rules;

type ItemReport = Report<keyof typeof openAiResponsesRules>;

const id = optional(isFilled);
const status = optional(oneOf("in_progress", "completed", "incomplete"));
const prefixes: Readonly<Record<string, string>> = {
  message: "msg_",
  function_call: "fc_",
  function_call_output: "fc_",
  reasoning: "rs_",
};
const inputParts = ["input_text", "input_image", "input_file"];

/** What is wrong with the input of a request to the responses API. */
export function validateOpenAiResponses(value: JsonValue): Violation[] {
  const report: ItemReport = new Report();
  const items = report.list(value, "input");
  if (Array.isArray(value)) report.check(value.length > 0, "input", "no-items");
  const ids = new Set<string>();
  for (const [item, path] of items) {
    checkItem(item, path, report);
    const itemId = textAt(item, "id");
    if (itemId === "") continue;
    const prefix = prefixes[typeOf(item)] ?? "";
    report.check(itemId.startsWith(prefix), `${path}.id`, "item-id");
    report.check(!ids.has(itemId), `${path}.id`, "item-id-repeated");
    ids.add(itemId);
  }
  checkPairs(items, report);
  checkReasoning(items, report);
  return report.violations;
}

/** Messages may leave their type out. */
function typeOf(item: JsonValue): string {
  return textAt(item, "type") || (at(item, "role") === undefined ? "" : "message");
}

function checkItem(item: JsonValue, path: string, report: ItemReport): void {
  switch (typeOf(item)) {
    case "message":
      checkMessage(item, path, report);
      break;
    case "function_call":
      checkCall(item, path, report);
      break;
    case "function_call_output":
      report.object(item, path, {
        type: required(isText),
        call_id: required(isFilled),
        output: required(isTextOrList),
        id,
        status,
      });
      if (isList(at(item, "output") ?? null)) {
        checkParts(at(item, "output"), inputParts, `${path}.output`, report);
      }
      break;
    case "reasoning":
      report.object(item, path, {
        type: required(isText),
        id: required(isFilled),
        summary: required(isList),
        content: optional(isList),
        encrypted_content: optional((value) => value === null || isText(value)),
        status,
      });
      break;
    default:
      report.add(path, isObject(item) ? "unknown-item" : "wrong-type");
  }
}

function checkMessage(item: JsonValue, path: string, report: ItemReport): void {
  const role = textAt(item, "role");
  const isRole = ["system", "developer", "user", "assistant"].includes(role);
  report.check(isRole, `${path}.role`, "unknown-role");
  report.object(item, path, {
    type: optional(isText),
    role: required(isText),
    content: required(isTextOrList),
    id,
    status,
  });
  if (!isList(at(item, "content") ?? null)) return;
  const parts = role === "assistant" ? ["output_text", "refusal"] : inputParts;
  checkParts(at(item, "content"), parts, `${path}.content`, report);
}

function checkParts(
  value: JsonValue | undefined,
  types: readonly string[],
  path: string,
  report: ItemReport,
): void {
  const parts = report.list(value, path);
  report.check(parts.length > 0, path, "empty-parts");
  for (const [part, partPath] of parts) {
    const type = textAt(part, "type");
    if (!types.includes(type)) report.add(partPath, "unknown-part");
    else checkPart(part, type, partPath, report);
  }
}

function checkPart(part: JsonValue, type: string, path: string, report: ItemReport): void {
  const kind = required(isText);
  switch (type) {
    case "input_image": {
      const detail = optional(oneOf("auto", "low", "high"));
      const fields = { image_url: optional(isText), file_id: optional(isFilled), detail };
      report.object(part, path, { type: kind, ...fields });
      const url = textAt(part, "image_url");
      const isThere = url === "" ? textAt(part, "file_id") !== "" : isMediaAddress(url);
      report.check(isThere, path, "media-address");
      break;
    }
    case "input_file": {
      const names = ["file_id", "file_url", "file_data", "filename"];
      const fields = Object.fromEntries(names.map((name) => [name, optional(isFilled)]));
      report.object(part, path, { type: kind, ...fields });
      const url = textAt(part, "file_url");
      const isThere = ["file_id", "file_data"].some((name) => textAt(part, name) !== "");
      report.check(url === "" ? isThere : isMediaAddress(url), path, "media-address");
      break;
    }
    case "output_text": {
      const lists = { annotations: optional(isList), logprobs: optional(isList) };
      report.object(part, path, { type: kind, text: required(isText), ...lists });
      break;
    }
    default: {
      const field = type === "refusal" ? "refusal" : "text";
      report.object(part, path, { type: kind, [field]: required(isText) });
    }
  }
}

function checkCall(item: JsonValue, path: string, report: ItemReport): void {
  report.object(item, path, {
    type: required(isText),
    call_id: required(isText),
    name: required(isText),
    arguments: required(isText),
    id,
    status,
  });
  const callId = textAt(item, "call_id");
  report.check(callId !== "" && lengthOf(callId) <= 64, `${path}.call_id`, "call-id");
  const isName = /^[a-zA-Z0-9_-]{1,64}$/.test(textAt(item, "name"));
  report.check(isName, `${path}.name`, "tool-name");
  const isArguments = isObjectText(textAt(item, "arguments"));
  report.check(isArguments, `${path}.arguments`, "arguments-object");
}

function checkPairs(items: readonly [JsonValue, string][], report: ItemReport): void {
  const calls = new Map<string, string>();
  const answered = new Set<string>();
  for (const [item, path] of items) {
    const callId = textAt(item, "call_id");
    if (typeOf(item) === "function_call") {
      report.check(!calls.has(callId), `${path}.call_id`, "call-id-repeated");
      calls.set(callId, path);
    } else if (typeOf(item) === "function_call_output") {
      if (!calls.has(callId)) report.add(path, "output-without-call");
      report.check(!answered.has(callId), path, "output-repeated");
      answered.add(callId);
    }
  }
  for (const [callId, path] of calls) {
    report.check(answered.has(callId), path, "call-without-output");
  }
}

function checkReasoning(items: readonly [JsonValue, string][], report: ItemReport): void {
  for (const [index, [item, path]] of items.entries()) {
    if (typeOf(item) !== "reasoning") continue;
    const next = items[index + 1]?.[0] ?? null;
    const type = typeOf(next);
    const isOfModel = type === "message" ? textAt(next, "role") === "assistant" : type !== "";
    const follows = isOfModel && type !== "function_call_output";
    report.check(follows, path, "reasoning-alone");
  }
}
