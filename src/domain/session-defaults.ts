import {
  create,
  type DescMessage,
  isFieldSet,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Session, SessionSchema } from "@sessiond/contract";

const minuteMs = 60_000;

/** What each preset fills in; the names are those of `Session.preset`. */
const presets: Readonly<Record<string, MessageInitShape<typeof SessionSchema>>> = {
  conversation: {
    contextPolicy: { tokenBudget: 8_000, compaction: { triggerRatio: 0.95 } },
    expiry: { ttl: durationFromMs(24 * 60 * minuteMs) },
  },
  managed: {
    expiry: { idleTtl: durationFromMs(30 * minuteMs) },
    healthPolicy: { warnErrorRate: 0.3, warnErrors: 10, failErrorRate: 0.5 },
  },
  memory: {},
  terminal: {
    contextPolicy: {
      toolResults: { keepWhole: 5, stubCharacters: 100, always: true },
      storeThinking: false,
    },
    limits: { maxHistory: 30 },
    expiry: { idleTtl: durationFromMs(45 * minuteMs) },
  },
  execution: {
    limits: { maxSteps: 10, maxTokens: 4_000, timeout: durationFromMs(2 * minuteMs) },
  },
};

/** What new sessions of an agent have unless they say otherwise; undefined: nothing. */
export type AgentDefaults = (agentId: string) => Session | undefined;

/** Fills in the fields of a new session that it leaves open. */
export type SessionDefaults = (session: Session) => Session;

/**
 * A session's own value wins, field by field, also inside limits, expiry and policies; then that of its
 * agent, then that of its preset, which may be the agent's. Lists and maps are taken whole.
 */
export function sessionDefaults(agentDefaults: AgentDefaults = () => undefined): SessionDefaults {
  return (session) => {
    const agent = agentDefaults(session.agentId);
    return withPreset(agent === undefined ? session : filled(SessionSchema, session, agent));
  };
}

/** A session with what its preset says, where it does not say otherwise itself. */
export function withPreset(session: Session): Session {
  const preset = presets[session.preset];
  if (preset === undefined) return session;
  return filled(SessionSchema, session, create(SessionSchema, preset));
}

/** A message with the fields it lacks taken from another, also inside messages that both have. */
export function filled<Desc extends DescMessage>(
  schema: Desc,
  given: MessageShape<Desc>,
  defaults: MessageShape<Desc>,
): MessageShape<Desc> {
  const changes: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (!isFieldSet(defaults, field)) continue;
    const fallback = (defaults as Record<string, unknown>)[field.localName];
    if (!isFieldSet(given, field)) {
      changes[field.localName] = fallback;
    } else if (field.fieldKind === "message" && field.message.typeName.startsWith("sessiond.")) {
      const own = (given as Record<string, unknown>)[field.localName];
      changes[field.localName] = filled(field.message, own as Message, fallback as Message);
    }
  }
  return { ...given, ...changes };
}
