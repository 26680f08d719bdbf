import type { MessageInitShape } from "@bufbuild/protobuf";
import { type EventSchema, Role } from "@sessiond/contract";
import * as z from "zod";

const messageSchema = z.object({
  role: z.enum(["system", "user", "assistant", "tool"]),
  content: z.string().nullish(),
  author: z.string().optional(),
  kind: z.string().optional(),
  tool_calls: z
    .array(
      z.object({ id: z.string(), function: z.object({ name: z.string(), arguments: z.string() }) }),
    )
    .optional(),
  tool_call_id: z.string().optional(),
  revision: z.int().optional(),
});

const questionSchema = z.object({
  question: z.string().min(1),
  evidence: z.array(z.int()).min(1),
  kind: z.enum(["literal", "paraphrased"]),
  answer: z.union([z.string(), z.number().transform(String)]).optional(),
});

const conversationSchema = z.object({
  id: z.string(),
  messages: z.array(messageSchema).min(1),
  questions: z.array(questionSchema),
});

export type Message = z.infer<typeof messageSchema>;
export type Question = z.infer<typeof questionSchema>;
/** One line of a file, see README.md. */
export type Conversation = z.infer<typeof conversationSchema>;

/** Errors: what is wrong with the line. */
export function parseConversation(line: string): Conversation {
  const parsed = conversationSchema.safeParse(JSON.parse(line));
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  const conversation = parsed.data;
  for (const { question, evidence } of conversation.questions) {
    for (const name of evidence) {
      if (placeOf(conversation, name) === -1) {
        throw new Error(`evidence ${name} of "${question}" is no message of ${conversation.id}`);
      }
    }
  }
  return conversation;
}

/** Place of a message in the list by what evidence calls it: its `revision`, or the place itself. */
export function placeOf({ messages }: Conversation, name: number): number {
  const byRevision = messages.some(({ revision }) => revision !== undefined);
  if (byRevision) return messages.findIndex(({ revision }) => revision === name);
  return name >= 0 && name < messages.length ? name : -1;
}

const roles = {
  system: Role.SYSTEM,
  user: Role.USER,
  assistant: Role.ASSISTANT,
  tool: Role.TOOL,
} as const satisfies Record<Message["role"], Role>;

/** The events a message becomes: its text, then its tool calls; or a tool's result. */
export function eventsOf(message: Message): MessageInitShape<typeof EventSchema>[] {
  const { role, content, author = "", kind = "", tool_calls: calls = [], tool_call_id } = message;
  const text = content ?? "";
  const shared = { author, kind };
  if (role === "tool" && tool_call_id !== undefined) {
    const value = { callId: tool_call_id, content: text };
    return [{ ...shared, payload: { case: "toolResult", value } }];
  }
  const callEvents = calls.map(({ id, function: { name, arguments: args } }) => ({
    ...shared,
    payload: { case: "toolCall", value: { callId: id, name, arguments: args } } as const,
  }));
  if (text === "" && calls.length > 0) return callEvents;
  const payload = { case: "message", value: { text } } as const;
  return [{ ...shared, role: roles[role], payload }, ...callEvents];
}
