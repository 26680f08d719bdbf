import type { EventInput, SessionEvent } from "@sessiond/client";
import type { ChatMessage } from "./runs.ts";

/**
 * What a run says, one line a fact, so that what went in and what came out can be compared without
 * trusting the code in between.
 */
export type Fact = readonly string[];

/** The events of one message; they are appended as one batch. */
export function toEvents({
  role,
  content,
  tool_calls,
  tool_call_id,
  name,
}: ChatMessage): EventInput[] {
  if (role === "tool") {
    const result = { callId: tool_call_id ?? "", content: content ?? "" };
    return [{ toolResult: result, ...(name !== undefined && { author: name }) }];
  }
  const calls = (tool_calls ?? []).map(({ id, function: { name, arguments: args } }) => ({
    toolCall: { callId: id, name, arguments: args },
  }));
  const says = content !== null && content !== "";
  return [...(says || calls.length === 0 ? [{ role, text: content ?? "" }] : []), ...calls];
}

/** The facts of a run as it was recorded. */
export function factsOfRun(messages: readonly ChatMessage[]): Fact[] {
  return messages.flatMap(({ role, content, tool_calls, tool_call_id, name }): Fact[] => {
    if (role === "tool") return [["result", tool_call_id ?? "", content ?? "", name ?? ""]];
    const calls = tool_calls ?? [];
    const text: Fact[] = content || calls.length === 0 ? [["text", role, content ?? ""]] : [];
    return [
      ...text,
      ...calls.map((call) => ["call", call.id, call.function.name, call.function.arguments]),
    ];
  });
}

/** The facts of a session as it was read back. */
export function factsOfSession(events: readonly SessionEvent[]): Fact[] {
  return events.flatMap((event): Fact[] => {
    const { toolCall, toolResult } = event;
    if (toolCall) return [["call", toolCall.callId, toolCall.name, toolCall.arguments]];
    if (toolResult) return [["result", toolResult.callId, toolResult.content, event.author]];
    return event.type === "message" ? [["text", event.role ?? "", event.text]] : [];
  });
}

/** The text a fact's tokens are counted over, as the contract describes it. */
export function countedText(fact: Fact): string {
  const [what, , second = "", third = ""] = fact;
  return what === "call" ? `${second}\n${third}` : second;
}
