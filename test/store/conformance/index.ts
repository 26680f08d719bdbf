import { describe } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { describeCommits } from "./commits.ts";
import { describeConsumers } from "./consumers.ts";
import { describeDeadlines } from "./deadlines.ts";
import { describeDeletes } from "./deletes.ts";
import { describeEvents } from "./events.ts";
import { describeForks } from "./forks.ts";
import { describeLists } from "./lists.ts";
import { describeNamespaceLog } from "./namespace-log.ts";
import { describeRecords } from "./records.ts";
import { describeRenames } from "./renames.ts";
import { describeRequests } from "./requests.ts";
import { describeRollups } from "./rollups.ts";
import { describeStaging } from "./staging.ts";
import { describeStates } from "./states.ts";

/** An engine under test. */
export interface Engine {
  readonly name: string;
  /** Opens a new, empty store. The suite closes it. */
  readonly open: () => Promise<Store>;
  /** Closes a store and opens it again with what it had. Absent: the engine forgets. */
  readonly reopen?: (store: Store) => Promise<Store>;
}

/** What every engine promises, see `src/store/store.ts`. */
export function describeStore(engine: Engine): void {
  describe(`the ${engine.name} store`, () => {
    describeCommits(engine);
    describeEvents(engine);
    describeNamespaceLog(engine);
    describeLists(engine);
    describeDeadlines(engine);
    describeRequests(engine);
    describeDeletes(engine);
    describeRenames(engine);
    describeForks(engine);
    describeStates(engine);
    describeConsumers(engine);
    describeRecords(engine);
    describeStaging(engine);
    describeRollups(engine);
  });
}
