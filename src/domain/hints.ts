import { create } from "@bufbuild/protobuf";
import { type Hint, HintSchema } from "@sessiond/contract";
import type { StoredSession } from "../store/store.ts";
import { healthHints } from "./lifecycle/health.ts";

/** Messages above which a session is long enough to think of starting another. */
const longSessionMessages = 30;

/** What a caller may want to do about a session, as things stand. */
export function hintsFor(stored: StoredSession): Hint[] {
  const messages = stored.head.metrics?.messages ?? 0;
  const hints = healthHints(stored);
  if (messages > longSessionMessages) {
    const message = `the session has ${messages} messages; think of starting another for a new topic`;
    hints.push(create(HintSchema, { code: "long_session", message }));
  }
  return hints;
}
