import { create } from "@bufbuild/protobuf";
import { ListSessionsRequestSchema, SessionOrder, SessionState } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { answerOf, type Happening } from "../world.ts";

const args = fc.record({
  state: fc.constantFrom(...Array.from({ length: 9 }, (_, state): SessionState => state)),
  agentId: fc.constantFrom("", "", "planner", "writer"),
  userId: fc.constantFrom("", "", "ada"),
  order: fc.constantFrom(SessionOrder.UNSPECIFIED, SessionOrder.OLDEST_FIRST),
  pageSize: fc.constantFrom(1, 2, 100),
  parentSessionId: fc.constantFrom("", "", "", "a", "b"),
});

/** ListSessions by every filter, as of now, page by page. */
export const listing: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `list ${JSON.stringify(args)}`,
  async run({ model }, { domain }) {
    const { state, agentId, userId, order, parentSessionId } = args;
    const parent = model.sessions.get(parentSessionId);
    if (parentSessionId !== "" && parent === undefined) {
      const request = create(ListSessionsRequestSchema, args);
      expect(await answerOf(domain.list.list(request))).toEqual({ refused: "SESSION_NOT_FOUND" });
      return;
    }
    const wanted = [...model.sessions.keys()]
      .map((name) => ({ name, session: model.shown(name) }))
      .filter(
        ({ session }) =>
          (state === SessionState.UNSPECIFIED || session?.state === state) &&
          (agentId === "" || session?.fields.agentId === agentId) &&
          (userId === "" || session?.fields.userId === userId) &&
          (parent === undefined || session?.parentUid === parent.uid),
      )
      .map(({ name, session }) => ({ name, createMs: session?.createMs ?? 0 }))
      .sort((a, b) => a.createMs - b.createMs || (a.name < b.name ? -1 : 1))
      .map(({ name }) => name);
    if (order !== SessionOrder.OLDEST_FIRST) wanted.reverse();
    const found: string[] = [];
    let pageToken = "";
    do {
      const request = create(ListSessionsRequestSchema, { ...args, pageToken });
      const page = await domain.list.list(request);
      found.push(...page.sessions.map(({ sessionId }) => sessionId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(found).toEqual(wanted);
  },
}));
