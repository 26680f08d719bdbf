import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EventSchema, Role } from "@sessiond/contract";
import { get_encoding } from "tiktoken";
import type { Group } from "../../../../src/domain/context/groups.ts";
import type { SummaryTask } from "../../../../src/domain/context/summarisers/summariser.ts";

type EventInit = MessageInitShape<typeof EventSchema>;
type Payload = NonNullable<EventInit["payload"]>;

const tokenizer = get_encoding("o200k_base");

/** Tokens of a text, exactly. */
export function countTokens(text: string): number {
  return tokenizer.encode_ordinary(text).length;
}

export function user(text: string, author = ""): EventInit {
  return { role: Role.USER, author, payload: { case: "message", value: { text } } };
}

export function assistant(text: string): EventInit {
  return { role: Role.ASSISTANT, payload: { case: "message", value: { text } } };
}

export function called(name: string, args: string): EventInit {
  return event({ case: "toolCall", value: { callId: "c", name, arguments: args } });
}

export function answered(content: string): EventInit {
  return event({ case: "toolResult", value: { callId: "c", content } });
}

export function event(payload: Payload): EventInit {
  return { payload };
}

/** Groups of the given events, in order. */
export function groups(...members: readonly (EventInit | readonly EventInit[])[]): Group[] {
  let revision = 0;
  return members.map((member) => {
    const inits = Array.isArray(member) ? (member as readonly EventInit[]) : [member as EventInit];
    const first = revision + 1;
    const events = inits.map((init) => {
      revision += 1;
      return create(EventSchema, { ...init, revision, group: first });
    });
    return { first, last: revision, events };
  });
}

export function task(more: Partial<SummaryTask>): SummaryTask {
  return {
    groups: [],
    previousSummary: "",
    maxTokens: 1_000,
    encoding: "o200k_base",
    signal: new AbortController().signal,
    ...more,
  };
}
