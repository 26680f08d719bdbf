import type { MessageInitShape } from "@bufbuild/protobuf";
import { type EventSchema, Role } from "@sessiond/contract";
import { type ChatMessage, loadRuns } from "../e2e/demo/runs.ts";

/** An event as a request carries it. */
export type EventInit = MessageInitShape<typeof EventSchema>;

/** A recorded conversation with what a session of it is made of. */
export interface Conversation {
  readonly sessionId: string;
  readonly systemInstructions: string;
  /** All messages behind the instructions. */
  readonly messages: readonly ChatMessage[];
}

/** The recorded runs that lie beside a checkout, or a few of our own, and which they are. */
export function loadConversations(): { conversations: readonly Conversation[]; source: string } {
  const { runs, source } = loadRuns();
  const conversations = runs.map(({ sessionId, messages }) => ({
    sessionId,
    systemInstructions: messages.find(({ role }) => role === "system")?.content ?? "",
    messages: messages.filter(({ role }) => role !== "system"),
  }));
  return { conversations, source };
}

/** The events of one message; they are appended as one batch. */
export function eventsOf(message: ChatMessage, agent = "agent"): EventInit[] {
  const { role, content, tool_calls: calls = [], tool_call_id: callId, name } = message;
  if (role === "tool") {
    const value = { callId: callId ?? "", content: content ?? "" };
    return [{ author: name ?? "", payload: { case: "toolResult", value } }];
  }
  const voice = role === "assistant" ? Role.ASSISTANT : Role.USER;
  const author = role === "assistant" ? agent : "";
  const text: EventInit = {
    role: voice,
    author,
    payload: { case: "message", value: { text: content ?? "" } },
  };
  const called = calls.map(({ id, function: tool }): EventInit => {
    const value = { callId: id, name: tool.name, arguments: tool.arguments };
    return { author, payload: { case: "toolCall", value } };
  });
  const says = calls.length === 0 || (content !== null && content !== "");
  return says ? [text, ...called] : called;
}

/** The texts of a message that a model reads. */
export function textsOf({ content, tool_calls: calls = [] }: ChatMessage): string[] {
  const called = calls.map(({ function: tool }) => `${tool.name}\n${tool.arguments}`);
  return [content ?? "", ...called].filter((text) => text !== "");
}

/** Lengths of the beginnings of a conversation at which its agent asked the model. */
export function askedAt({ messages }: Conversation): number[] {
  return messages.flatMap(({ role }, index) => (role === "assistant" ? [index] : []));
}
