import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EndSessionRequestSchema, type EventSchema, Role } from "@sessiond/contract";
import type { TestDomain } from "../../support/domain.ts";
import type { ReceivedSpan } from "../../support/otlp-receiver.ts";

export type EventInit = MessageInitShape<typeof EventSchema>;

/** When test domains begin. */
export const startMs = Date.UTC(2030, 0, 1);

export function toolCall(callId: string, name: string): EventInit {
  const value = { callId, name, arguments: `{"for":"${callId}"}` };
  return { role: Role.ASSISTANT, payload: { case: "toolCall", value } };
}

export function toolResult(
  callId: string,
  more: { isError?: boolean; isFinal?: boolean } = {},
): EventInit {
  return {
    payload: { case: "toolResult", value: { callId, content: `result ${callId}`, ...more } },
  };
}

/** Appends events so many seconds after the start. */
export async function at(
  domain: TestDomain,
  seconds: number,
  sessionId: string,
  ...events: EventInit[]
): Promise<void> {
  domain.now = startMs + seconds * 1_000;
  await domain.append({ sessionId, events });
}

export async function end(
  domain: TestDomain,
  request: MessageInitShape<typeof EndSessionRequestSchema>,
): Promise<void> {
  await domain.sessions.end(create(EndSessionRequestSchema, request));
}

/** Who is below whom, by name. */
export function treeOf(spans: readonly ReceivedSpan[], parent = ""): object {
  const below = spans.filter(({ parentSpanId }) => parentSpanId === parent);
  return Object.fromEntries(below.map((span) => [span.name, treeOf(spans, span.spanId)]));
}

/** The only span of that name. */
export function named(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const [found, ...others] = spans.filter((span) => span.name === name);
  if (found === undefined || others.length > 0) {
    throw new Error(`not one span is "${name}", but there are ${spans.map((span) => span.name)}`);
  }
  return found;
}

/** From when to when, in seconds after the start of the test. */
export function seconds({ start, end: over }: ReceivedSpan): [number, number] {
  const since = (time: bigint) => Number(time - BigInt(startMs) * 1_000_000n) / 1e9;
  return [since(start), since(over)];
}
