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
  listAt,
  optional,
  Report,
  type Rules,
  required,
  shapeRules,
  textAt,
  type Violation,
} from "./report.ts";

/** What generateContent refuses in `systemInstruction` and `contents`. */
export const geminiRules = {
  ...shapeRules,
  "no-contents": "There is at least one content.",
  "unknown-role": "A role is user or model.",
  "first-role": "The first content is the user's.",
  alternation: "User and model take turns; only behind function responses the user may go on.",
  "last-role": "The last content is the user's, or holds function responses.",
  "no-parts": "A content has at least one part.",
  "one-of": "A part holds one thing: text, data, a file, a call or a response.",
  "empty-text": "A text is not empty.",
  "instruction-text": "Instructions are texts.",
  "function-name":
    "The name of a function begins with a letter or _, and has up to 64 letters, digits, _, ., : or -.",
  "call-place": "Functions are called by the model.",
  "response-place": "Function responses are the user's.",
  "call-without-response": "The next content answers the calls of a content, all of them.",
  "response-without-call": "Function responses stand behind the content that called.",
  "response-count": "There are as many responses as calls.",
  "response-order": "Responses have the names and ids of the calls, in the order of the calls.",
  "responses-first": "Function responses stand before everything else in their content.",
  "media-type": "Data and files say what type they are of.",
  base64: "Bytes are in base64: of data, and of thought signatures.",
} as const satisfies Rules;

type ContentReport = Report<keyof typeof geminiRules>;

const holds = {
  text: isText,
  inlineData: isObject,
  fileData: isObject,
  functionCall: isObject,
  functionResponse: isObject,
} as const;

const partFields: Readonly<Record<string, Field>> = {
  ...Object.fromEntries(Object.entries(holds).map(([name, takes]) => [name, optional(takes)])),
  thought: optional(isBoolean),
  thoughtSignature: optional(isFilled),
};

/** What is wrong with the instructions and contents of a request to generateContent. */
export function validateGemini(value: JsonValue): Violation[] {
  const report: ContentReport = new Report();
  const fields = { systemInstruction: optional(isObject), contents: required(isList) };
  if (report.object(value, "body", fields) === undefined) return report.violations;
  const instruction = at(value, "systemInstruction");
  if (isObject(instruction)) checkInstruction(instruction, report);
  const contents = report.list(at(value, "contents") ?? [], "contents");
  report.check(contents.length > 0, "contents", "no-contents");
  for (const [content, path] of contents) checkContent(content, path, report);
  checkRoles(contents, report);
  checkPairs(contents, report);
  return report.violations;
}

function checkInstruction(instruction: JsonValue, report: ContentReport): void {
  const path = "systemInstruction";
  report.object(instruction, path, { role: optional(isText), parts: required(isList) });
  report.check(listAt(instruction, "parts").length > 0, `${path}.parts`, "no-parts");
  for (const [index, part] of listAt(instruction, "parts").entries()) {
    const isTexts = isFilled(at(part, "text") ?? null);
    report.check(isTexts, `${path}.parts[${index}]`, "instruction-text");
  }
}

function checkContent(content: JsonValue, path: string, report: ContentReport): void {
  report.object(content, path, { role: required(isText), parts: required(isList) });
  const role = textAt(content, "role");
  report.check(role === "user" || role === "model", `${path}.role`, "unknown-role");
  const parts = listAt(content, "parts");
  report.check(parts.length > 0, `${path}.parts`, "no-parts");
  for (const [index, part] of parts.entries()) {
    const partPath = `${path}.parts[${index}]`;
    if (report.object(part, partPath, partFields)) checkPart(part, role, partPath, report);
  }
  const isResponse = parts.map((part) => isObject(at(part, "functionResponse")));
  const others = isResponse.indexOf(false);
  const isLate = others !== -1 && isResponse.includes(true, others);
  report.check(!isLate, `${path}.parts`, "responses-first");
}

function checkPart(part: JsonValue, role: string, path: string, report: ContentReport): void {
  const held = Object.keys(holds).filter((name) => at(part, name) !== undefined);
  report.check(held.length === 1, path, "one-of");
  report.check(at(part, "text") !== "", `${path}.text`, "empty-text");
  const signature = textAt(part, "thoughtSignature");
  report.check(isBase64(signature), `${path}.thoughtSignature`, "base64");
  for (const name of ["functionCall", "functionResponse"] as const) {
    const value = at(part, name);
    if (isObject(value)) checkFunction(value, name, { role, path: `${path}.${name}` }, report);
  }
  for (const [name, field] of [
    ["inlineData", "data"],
    ["fileData", "fileUri"],
  ] as const) {
    const value = at(part, name);
    if (!isObject(value)) continue;
    const fields = { mimeType: optional(isText), [field]: required(isFilled) };
    report.object(value, `${path}.${name}`, fields);
    const isTyped = /^[\w.+-]+\/[\w.+-]+$/.test(textAt(value, "mimeType"));
    report.check(isTyped, `${path}.${name}.mimeType`, "media-type");
    if (name === "inlineData") report.check(isBase64(textAt(value, field)), path, "base64");
  }
}

function checkFunction(
  value: JsonValue,
  kind: "functionCall" | "functionResponse",
  { role, path }: { role: string; path: string },
  report: ContentReport,
): void {
  const isCall = kind === "functionCall";
  report.object(value, path, {
    id: optional(isFilled),
    name: required(isText),
    ...(isCall ? { args: optional(isObject) } : { response: required(isObject) }),
  });
  const isName = /^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/.test(textAt(value, "name"));
  report.check(isName, `${path}.name`, "function-name");
  if (isCall) report.check(role === "model", path, "call-place");
  else report.check(role === "user", path, "response-place");
}

function checkRoles(contents: readonly [JsonValue, string][], report: ContentReport): void {
  const first = contents[0]?.[0];
  if (first === undefined) return;
  report.check(textAt(first, "role") === "user", "contents[0].role", "first-role");
  for (const [index, [content, path]] of contents.entries()) {
    const before = contents[index - 1]?.[0];
    if (before === undefined || textAt(before, "role") !== textAt(content, "role")) continue;
    const goesOn = textAt(content, "role") === "user" && partsOf(before, "functionResponse").length;
    report.check(Boolean(goesOn), `${path}.role`, "alternation");
  }
  const [last, path] = contents.at(-1) ?? [null, ""];
  report.check(textAt(last, "role") !== "model", `${path}.role`, "last-role");
}

/** Responses stand in the content behind the calls, as many, in their order. */
function checkPairs(contents: readonly [JsonValue, string][], report: ContentReport): void {
  let calls: readonly JsonValue[] = [];
  for (const [index, [content, path]] of contents.entries()) {
    const responses = partsOf(content, "functionResponse");
    if (responses.length === 0) {
      const before = contents[index - 1]?.[1] ?? path;
      report.check(calls.length === 0, before, "call-without-response");
    } else if (calls.length === 0) report.add(path, "response-without-call");
    else if (responses.length !== calls.length) report.add(path, "response-count");
    else {
      const fits = responses.every((response, place) => isAnswer(response, calls[place] ?? null));
      report.check(fits, path, "response-order");
    }
    calls = partsOf(content, "functionCall");
  }
  const end = contents.at(-1)?.[1] ?? "contents";
  report.check(calls.length === 0, end, "call-without-response");
}

function isAnswer(response: JsonValue, call: JsonValue): boolean {
  return (
    textAt(response, "name") === textAt(call, "name") &&
    textAt(response, "id") === textAt(call, "id")
  );
}

function partsOf(content: JsonValue, name: "functionCall" | "functionResponse"): JsonValue[] {
  return listAt(content, "parts").flatMap((part) => at(part, name) ?? []);
}
