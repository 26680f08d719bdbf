import { type Event, Role } from "@sessiond/contract";
import { own, providerOf, roleWords, standard } from "./names.ts";
import type { Attributes, AttributeValue } from "./records.ts";

/** The session that something is told of. */
export interface Subject {
  readonly namespace: string;
  readonly sessionId: string;
  readonly uid: string;
  /** Empty: unknown. */
  readonly agentId: string;
  readonly model: string;
}

/** Attributes without those that have no value: absent, an empty text, or 0 where that means none. */
export function known(
  attributes: Readonly<Record<string, AttributeValue | undefined>>,
): Attributes {
  const some: Record<string, AttributeValue> = {};
  for (const name in attributes) {
    const value = attributes[name];
    if (value !== undefined && value !== "") some[name] = value;
  }
  return some;
}

const sessions = new WeakMap<Subject, Attributes>();

/** What every span and log record of a session says of it. */
export function ofSession(subject: Subject): Attributes {
  let attributes = sessions.get(subject);
  if (attributes === undefined) {
    attributes = sessionAttributes(subject);
    sessions.set(subject, attributes);
  }
  return attributes;
}

function sessionAttributes({ namespace, sessionId, uid, agentId }: Subject): Attributes {
  return known({
    [standard.ATTR_GEN_AI_CONVERSATION_ID]: sessionId,
    [standard.ATTR_GEN_AI_AGENT_ID]: agentId,
    [standard.ATTR_GEN_AI_AGENT_NAME]: agentId,
    [own.namespace]: namespace,
    [own.sessionUid]: uid,
  });
}

/** What an event says of itself beside its payload. */
export function ofEvent(event: Event): Attributes {
  const { revision, turn, step, kind, eventId, author, role, tokens } = event;
  return known({
    [own.revision]: revision,
    [own.turn]: turn,
    [own.step]: step || undefined,
    [own.kind]: kind,
    [own.eventId]: eventId,
    [own.author]: author,
    [own.role]: roleWords[role as Role],
    [own.tokens]: tokens?.count,
    // Who wrote it is the agent, unless it is somebody else.
    [standard.ATTR_GEN_AI_AGENT_NAME]: role === Role.ASSISTANT ? author : undefined,
  });
}

/** What the provider reported. Empty without it. */
export function ofUsage({ usage }: Event): Attributes {
  if (usage === undefined) return {};
  return known({
    [standard.ATTR_GEN_AI_RESPONSE_MODEL]: usage.model,
    [standard.ATTR_GEN_AI_USAGE_INPUT_TOKENS]: usage.inputTokens,
    [standard.ATTR_GEN_AI_USAGE_OUTPUT_TOKENS]: usage.outputTokens,
    [standard.ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS]: usage.cachedInputTokens || undefined,
    [standard.ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS]: usage.reasoningTokens || undefined,
    [own.cost]: usage.cost || undefined,
  });
}

/** The model that was asked, and whose it is as far as its name says. */
export function ofModel(model: string): Attributes {
  return known({
    [standard.ATTR_GEN_AI_REQUEST_MODEL]: model,
    [standard.ATTR_GEN_AI_PROVIDER_NAME]: providerOf(model),
  });
}
