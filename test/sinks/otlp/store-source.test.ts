import { expect, onTestFinished, test } from "vitest";
import { storeSource } from "../../../src/sinks/otlp/store-source.ts";
import { Redaction, type RedactionConfig } from "../../../src/sinks/redaction/redaction.ts";
import { fork } from "../../domain/history/support.ts";
import { openTestDomain } from "../../support/domain.ts";

/** Facts of a fork, whose own log does not say how the session started. */
async function factsOfFork(config: Partial<RedactionConfig>) {
  const domain = await openTestDomain({});
  const redaction = new Redaction({ content: true, fields: [], patterns: [], ...config });
  onTestFinished(async () => {
    await redaction.close();
    await domain[Symbol.asyncDispose]();
  });
  await domain.create({ session: { sessionId: "plane", agentId: "hush-1", model: "gpt-5" } });
  await domain.append({
    sessionId: "plane",
    events: [
      { usage: { inputTokens: 7, outputTokens: 2 }, payload: { case: "output", value: {} } },
    ],
  });
  const { uid } = await fork(domain, { sessionId: "plane", newSessionId: "train" });
  const source = storeSource(domain.store, async (_sessionId, events) => redaction.apply(events));
  return source.session({ namespace: "default", sessionId: "train", uid });
}

test.each<[Partial<RedactionConfig>, object]>([
  [{}, { agentId: "hush-1", model: "gpt-5", inputTokens: 7, outputTokens: 2 }],
  [{ content: false }, { agentId: "hush-1", model: "gpt-5" }],
  [{ fields: ["sessionStarted.agentId"] }, { agentId: "[redacted]", model: "gpt-5" }],
  [{ fields: ["sessionStarted"] }, { agentId: "", model: "" }],
  [{ patterns: ["hush-\\d"] }, { agentId: "[redacted]", model: "gpt-5" }],
  [{ fields: ["usage.inputTokens"] }, { inputTokens: 0, outputTokens: 2 }],
])(
  "what %j takes out of a session's start stays away from its forks, too",
  async (config, facts) => {
    expect(await factsOfFork(config)).toMatchObject(facts);
  },
);
