import { ImportConflict } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { exported, imported } from "../../bundles/support.ts";
import { busyName, otherName } from "../pool.ts";
import { answerOf, type Happening } from "../world.ts";

const args = fc.record({ name: busyName, newName: otherName, isDryRun: fc.boolean() });

/** ExportSession, and ImportSession of what it gave under another name. */
export const copying: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `copy ${JSON.stringify(args)}`,
  async run({ model }, { domain }) {
    const { name, newName, isDryRun: dryRun } = args;
    const isTaken = model.sessions.has(newName);
    const parts = await answerOf(exported(domain, name));
    if ("refused" in parts) {
      expect(parts).toEqual(model.copy(name, newName));
      return;
    }
    const onConflict = ImportConflict.FAIL;
    const answer = await answerOf(
      imported(domain, parts, { sessionId: newName, onConflict, dryRun }),
    );
    if ("refused" in answer) {
      expect(answer).toEqual(model.copy(name, newName));
      return;
    }
    expect(isTaken).toBe(false);
    if (dryRun) return;
    model.copy(name, newName);
    model.learnUid(newName, answer.session?.uid ?? "");
  },
}));
