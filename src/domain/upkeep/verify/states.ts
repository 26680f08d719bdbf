import { StateRecordSchema } from "@sessiond/contract/store";
import { parseStateKey, uidBytes } from "../../../store/keys.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

/** The states can be read, and those of sessions belong to sessions that are there. */
export async function* checkStates(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "states")) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    for (const record of page) {
      const { key } = record;
      const scope = parsed(parseStateKey, key);
      if (scope === undefined) {
        yield damaged("the key of a state", {});
        continue;
      }
      const { namespace } = scope;
      const uid = scope.of === "session" ? scope.uid : "";
      if (decoded(StateRecordSchema, record) === undefined) {
        yield damaged(`a state of a ${scope.of}`, { namespace, uid });
      }
      if (uid === "") continue;
      // Both in one moment: the session may have gone since the page was read.
      const head = uidBytes(uid);
      const [states, heads] = await run.store.records(
        exactly("states", key),
        exactly("heads", head),
      );
      if (under(key, states) === undefined || under(head, heads) !== undefined) continue;
      const found = "a state of a session that does not exist";
      yield { findings: [finding("STATE_STRAY", { namespace, uid }, found)] };
    }
    yield nothing;
  }
}
