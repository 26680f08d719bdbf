import { expect, it } from "vitest";
import { openTestDomain, userText } from "../../support/domain.ts";
import { exported, imported } from "../bundles/support.ts";
import { compact, manual, open, sessionId, talk } from "../context/compaction/support.ts";
import { fork, remove } from "../history/support.ts";
import { patch } from "../state/support.ts";
import { verify } from "./support.ts";

it("a verify finds nothing wrong with what was imported, a fork of a deleted session among it", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await talk(domain, { turns: 40, tokens: 60 });
  await compact(domain, { targetRatio: 0.2 });
  await patch(domain, { theme: "dark" }, { sessionId });
  await fork(domain, { sessionId, revision: 30, newSessionId: "fork" });
  await domain.append({ sessionId: "fork", events: [userText("another way")] });
  const bundles = [await exported(domain, sessionId), await exported(domain, "fork")];
  await remove(domain, sessionId);
  for (const [index, bundle] of bundles.entries()) {
    await imported(domain, bundle, { sessionId: `copy-${index}` });
  }
  await domain.append({ sessionId: "copy-0", events: [userText("go on")] });
  await fork(domain, { sessionId: "copy-1", revision: 20, newSessionId: "fork-of-copy" });
  const { findings, summary } = await verify(domain.store);
  expect(findings).toEqual([]);
  expect(summary?.sessions).toBe(4n);
});
