import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CommitCursorRequestSchema,
  type CommitCursorResponse,
  type Consumer,
  ConsumerSchema,
  CreateConsumerRequestSchema,
  DeleteConsumerRequestSchema,
  GetConsumerRequestSchema,
  type WatchEventsResponse,
} from "@sessiond/contract";
import { type TestDomain, userText } from "../../support/domain.ts";

type Watch = AsyncGenerator<WatchEventsResponse>;

export async function createConsumer(
  domain: TestDomain,
  consumer: MessageInitShape<typeof ConsumerSchema>,
  more: MessageInitShape<typeof CreateConsumerRequestSchema> = {},
): Promise<Consumer> {
  const request = create(CreateConsumerRequestSchema, {
    ...more,
    consumer: create(ConsumerSchema, consumer),
  });
  const { consumer: created } = await domain.consumers.create(request);
  if (created === undefined) throw new Error("no consumer in the answer");
  return created;
}

export function getConsumer(domain: TestDomain, name: string): Promise<Consumer> {
  return domain.consumers.get(create(GetConsumerRequestSchema, { name }));
}

export async function deleteConsumer(
  domain: TestDomain,
  name: string,
  more: MessageInitShape<typeof DeleteConsumerRequestSchema> = {},
): Promise<void> {
  await domain.consumers.delete(create(DeleteConsumerRequestSchema, { name, ...more }));
}

export function commit(
  domain: TestDomain,
  request: MessageInitShape<typeof CommitCursorRequestSchema>,
): Promise<CommitCursorResponse> {
  return domain.consumers.commit(create(CommitCursorRequestSchema, request));
}

/** The next message, which there has to be. */
export async function next(watch: Watch): Promise<WatchEventsResponse> {
  const { value, done } = await watch.next();
  if (done) throw new Error("the watch has ended");
  return value;
}

/** Begins to read: gives the watch and its lease. */
export async function reading(
  domain: TestDomain,
  consumer: string,
  more: { takeOver?: boolean; reader?: string } = {},
) {
  const watch = domain.watch({ consumer, ...more });
  const { message, cursor } = await next(watch);
  if (message.case !== "created") throw new Error(`${message.case} came first`);
  return { watch, lease: message.value.lease, cursor };
}

/** Reads the next events, passing over what has none: `session:revision`, and the cursor behind them. */
export async function nextEvents(watch: Watch): Promise<{ seen: string[]; cursor: string }> {
  for (;;) {
    const { message, cursor } = await next(watch);
    if (message.case !== "events") continue;
    const { sessionId, events } = message.value;
    return { seen: events.map(({ revision }) => `${sessionId}:${revision}`), cursor };
  }
}

/** Appends texts, one batch for each. */
export async function appendTexts(
  domain: TestDomain,
  texts: readonly string[],
  sessionId = "demo",
): Promise<void> {
  for (const text of texts) {
    await domain.append({ sessionId, createIfMissing: true, events: [userText(text)] });
  }
}
