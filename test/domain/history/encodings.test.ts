import { create } from "@bufbuild/protobuf";
import { CompactionStrategy, UpdateSessionRequestSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { exported, imported } from "../bundles/support.ts";
import {
  compact,
  everything,
  manual,
  say,
  sessionId,
  talk,
} from "../context/compaction/support.ts";
import { fork, rewind } from "./support.ts";

/** Counts of the one are not those of the other. */
const [model, other] = ["gpt-4o", "claude-sonnet-4-5"];

async function openWith(domain: TestDomain): Promise<void> {
  const compaction = { ...manual.compaction, strategy: CompactionStrategy.EXTRACT };
  await domain.create({ session: { sessionId, model, contextPolicy: { compaction } } });
}

async function changeModel(domain: TestDomain): Promise<void> {
  const session = { sessionId, model: other };
  const updateMask = { paths: ["model"] };
  await domain.sessions.update(create(UpdateSessionRequestSchema, { session, updateMask }));
}

/** The tokens that the head says the window has are those that the window has. */
async function expectCounted(domain: TestDomain, id = sessionId, namespace = "default") {
  const window = await domain.window({ ...everything, namespace, sessionId: id });
  const stored = await domain.store.getSession({ namespace, sessionId: id });
  expect(stored?.head.windowTokens).toBe(window.tokens?.total);
}

const to = (value: number) => ({ to: { case: "revision", value } }) as const;

test("a rewind behind a change of model counts what it leads to by the model of today", async () => {
  await using domain = await openTestDomain();
  await openWith(domain);
  await talk(domain, { turns: 6, tokens: 100 });
  await compact(domain, { targetRatio: 0.02 });
  await talk(domain, { turns: 2, tokens: 100 });
  await changeModel(domain);
  await talk(domain, { turns: 1, tokens: 100 });
  await expectCounted(domain);
  for (const revision of [16, 14, 9, 5, 20]) {
    await rewind(domain, to(revision));
    await expectCounted(domain);
  }
  await say(domain, userText("and on"));
  await expectCounted(domain);
  await imported(domain, await exported(domain, sessionId), { namespace: "n" });
  for (const namespace of ["default", "n"]) {
    await rewind(domain, { namespace, ...to(10) });
    await expectCounted(domain, sessionId, namespace);
  }
});

test("a fork with another model, or from before a change, is counted by its own", async () => {
  await using domain = await openTestDomain();
  await openWith(domain);
  await talk(domain, { turns: 6, tokens: 100 });
  await compact(domain, { targetRatio: 0.02 });
  await fork(domain, { sessionId, newSessionId: "other", session: { model: other } });
  await expectCounted(domain, "other");
  await changeModel(domain);
  for (const revision of [5, 12, 14]) {
    await fork(domain, { sessionId, revision, newSessionId: `at ${revision}` });
    await expectCounted(domain, `at ${revision}`);
    await rewind(domain, { sessionId: `at ${revision}`, to: { case: "groups", value: 1 } });
    await expectCounted(domain, `at ${revision}`);
  }
});

test("a change of model and a rewind at once leave one count", async () => {
  for (let ticks = 0; ticks < 40; ticks++) {
    await using domain = await openTestDomain();
    await openWith(domain);
    await talk(domain, { turns: 6, tokens: 50 });
    const changing = changeModel(domain);
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    await Promise.all([changing, rewind(domain, to(12))]);
    await expectCounted(domain);
  }
});
