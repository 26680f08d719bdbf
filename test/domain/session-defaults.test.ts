import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { SessionSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { sessionDefaults } from "../../src/domain/session-defaults.ts";
import { openTestDomain } from "../support/domain.ts";

const researcher = create(SessionSchema, {
  preset: "execution",
  model: "gpt-5",
  limits: { maxSteps: 15, timeout: durationFromMs(180_000) },
  labels: { team: "a" },
  tools: [{ name: "web_search" }],
});

const defaults = sessionDefaults((agentId) => (agentId === "researcher" ? researcher : undefined));

function filledIn(session: MessageInitShape<typeof SessionSchema>) {
  return defaults(create(SessionSchema, session));
}

test("a session's own value wins over its agent's, and that over its preset's", () => {
  expect(filledIn({ agentId: "researcher", model: "o4", limits: { maxSteps: 3 } })).toMatchObject({
    model: "o4",
    preset: "execution",
    limits: { maxSteps: 3, maxTokens: 4_000, timeout: durationFromMs(180_000) },
  });
});

test("a session may name another preset than its agent", () => {
  const { preset, limits, expiry } = filledIn({ agentId: "researcher", preset: "managed" });
  expect({ preset, limits, expiry }).toMatchObject({
    preset: "managed",
    limits: { maxSteps: 15 },
    expiry: { idleTtl: durationFromMs(1_800_000) },
  });
  expect(limits?.maxTokens).toBeUndefined();
});

test("lists and maps are taken whole", () => {
  const own = filledIn({
    agentId: "researcher",
    labels: { tier: "gold" },
    tools: [{ name: "code_exec" }],
  });
  expect(own.labels).toEqual({ tier: "gold" });
  expect(own.tools.map(({ name }) => name)).toEqual(["code_exec"]);
});

test("a bound of health that is 0 is never, whatever the preset says", () => {
  const { healthPolicy } = filledIn({ preset: "managed", healthPolicy: { failErrorRate: 0 } });
  expect(healthPolicy).toMatchObject({ failErrorRate: 0, warnErrorRate: 0.3, warnErrors: 10 });
});

test("an agent without defaults gets none", () => {
  expect(filledIn({ agentId: "writer" })).toEqual(create(SessionSchema, { agentId: "writer" }));
});

test("the session that is created has them", async () => {
  await using domain = await openTestDomain({
    agentDefaults: (agentId) => (agentId === "researcher" ? researcher : undefined),
  });
  const session = await domain.create({ session: { agentId: "researcher" } });
  expect(session).toMatchObject({ model: "gpt-5", limits: { maxSteps: 15 } });
});

test.each([{}, { preset: "execution" }, { agentId: "researcher" }])(
  "a limit of 0 is refused, not filled in, for a session with %j",
  async (fields) => {
    await using domain = await openTestDomain({ agentDefaults: () => researcher });
    const creation = domain.create({ session: { ...fields, limits: { maxSteps: 0 } } });
    await expect(creation).rejects.toThrow(
      "session.limits.max_steps: 0 would allow nothing; leave it out, or give a number from 1 on",
    );
  },
);
