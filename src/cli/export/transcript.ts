import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@sessiond/contract";
import type { Conversation } from "./conversation.ts";
import { roleWord } from "./items.ts";

const voices = { system: "System", user: "User", assistant: "Assistant", tool: "Tool" } as const;

/** The conversation as Markdown for people to read. */
export function transcriptDocument({ session, events }: Conversation): string {
  const { sessionId, title, agentId, createTime } = session;
  const facts = [
    agentId === "" ? "" : `agent ${agentId}`,
    createTime === undefined ? "" : timestampDate(createTime).toISOString(),
  ].filter((fact) => fact !== "");
  const head = [
    `# ${oneLine(title || sessionId)}`,
    ...(facts.length > 0 ? [facts.join(", ")] : []),
  ];
  return `${[...head, ...events.flatMap(section)].join("\n\n")}\n\n`;
}

function section(event: Event): string[] {
  const { payload, author } = event;
  const by = author === "" ? "" : ` (${oneLine(author)})`;
  switch (payload.case) {
    case "message": {
      const { text, parts } = payload.value;
      const others = parts.map(({ content }) => {
        if (content.case === "text") return content.value;
        if (content.case === "image") return `![image](<${content.value.uri}>)`;
        return content.case === "file"
          ? `[${content.value.name || "file"}](<${content.value.uri}>)`
          : "";
      });
      return [
        `**${voices[roleWord(event)]}${by}:**`,
        [text, ...others].filter(Boolean).join("\n\n"),
      ];
    }
    case "output":
      return [`**Assistant${by}:**`, payload.value.text];
    case "toolCall": {
      const { name, arguments: args } = payload.value;
      return [`**Call of ${oneLine(name)}${by}:**`, fenced(args)];
    }
    case "toolResult":
      return [
        `**Result${payload.value.isError ? " (failed)" : ""}:**`,
        fenced(payload.value.content),
      ];
    case "error":
      return [`**Error${by}:** ${oneLine(payload.value.message || payload.value.code)}`];
    case "sessionEnded":
      return ["---", `Ended: ${oneLine(payload.value.end?.reason || "done")}`];
    default:
      return [];
  }
}

/** In a fence that is longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}
