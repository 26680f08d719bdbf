import { createHash } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import type { EventInit, EventInput, RoleWord } from "@sessiond/client";
import { Role } from "@sessiond/contract";

type MessageInit = Extract<NonNullable<EventInit["payload"]>, { case: "message" }>["value"];
export type PartInit = NonNullable<Exclude<MessageInit, { $typeName: string }>["parts"]>[number];

const roles = {
  system: Role.SYSTEM,
  user: Role.USER,
  assistant: Role.ASSISTANT,
  tool: Role.TOOL,
} satisfies Record<RoleWord, Role>;

/** Longest reference the contract takes. */
const uriBytes = 8 * 1024;

/** A message; with parts only if it has any beside its text. */
export function messageInput(role: RoleWord, text: string, parts: PartInit[] = []): EventInput {
  if (parts.length === 0) return { role, text };
  return { role: roles[role], payload: { case: "message", value: { text, parts } } };
}

/** A reference to an image; bytes that stand in the item itself are named by their hash. */
export function imagePart(uri: string, mediaType = ""): PartInit {
  const inline = /^data:([^;,]*)/.exec(uri);
  return {
    content: {
      case: "image",
      value: { uri: reference(uri), mediaType: mediaType || (inline?.[1] ?? "") },
    },
  };
}

export function filePart(uri: string, name = ""): PartInit {
  return { content: { case: "file", value: { uri: reference(uri), name } } };
}

/** Texts joined by blank lines, and the other parts; a kind that is not known stays in the raw item. */
export function splitParts(
  parts: readonly JsonObject[],
  toPart: (part: JsonObject) => string | PartInit | undefined,
): { text: string; parts: PartInit[] } {
  const converted = parts.map(toPart).filter((part) => part !== undefined);
  return {
    text: converted.filter((part) => typeof part === "string").join("\n\n"),
    parts: converted.filter((part) => typeof part !== "string"),
  };
}

function reference(uri: string): string {
  if (uri !== "" && !uri.startsWith("data:") && Buffer.byteLength(uri) <= uriBytes) return uri;
  return `sha256:${createHash("sha256").update(uri).digest("hex")}`;
}
