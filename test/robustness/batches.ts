import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Event, EventSchema, Role } from "@sessiond/contract";
import type { Random } from "./random.ts";

type EventInit = MessageInitShape<typeof EventSchema>;

const words = "the agent reads a page and notes what it says about trains in Japan".split(" ");

/** Makes the events of one batch. Every text is different, so that none passes for another. */
export function batchOf(args: { requestId: string; size: number; random: Random }): Event[] {
  const { requestId, size, random } = args;
  return Array.from({ length: size }, (_, index) => {
    const eventId = `${requestId}/${index}`;
    const content: EventInit = random.pick(contents)(`${eventId} ${textOf(random)}`, eventId);
    return create(EventSchema, {
      eventId,
      author: random.pick(["planner", "coder", ""]),
      kind: random.pick(["", "goal", "agent_response"]),
      ...content,
      ...(random.chance(0.2) && { metadata: { place: index } }),
    });
  });
}

const contents: readonly ((text: string, callId: string) => EventInit)[] = [
  (text) => ({ role: Role.USER, payload: { case: "message", value: { text } } }),
  (text) => ({ role: Role.ASSISTANT, payload: { case: "message", value: { text } } }),
  (text) => ({ role: Role.ASSISTANT, payload: { case: "thinking", value: { text } } }),
  (text, callId) => ({
    role: Role.ASSISTANT,
    payload: {
      case: "toolCall",
      value: { callId, name: "search", arguments: JSON.stringify({ query: text }) },
    },
  }),
  (text, callId) => ({
    role: Role.TOOL,
    payload: { case: "toolResult", value: { callId, content: text } },
  }),
];

/** Mostly short; some need pages of their own in the store, a few many of them. */
function textOf(random: Random): string {
  let length = random.between(1, 40);
  if (random.chance(0.1)) length = random.between(300, 1_500);
  if (random.chance(0.005)) length = random.between(5_000, 12_000);
  return Array.from({ length }, () => random.pick(words)).join(" ");
}
