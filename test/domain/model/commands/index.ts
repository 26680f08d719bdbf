import type fc from "fast-check";
import type { Happening } from "../world.ts";
import { repeating } from "./again.ts";
import { amending } from "./amend.ts";
import { appending, talking } from "./append.ts";
import { copying } from "./copy.ts";
import { creation } from "./create.ts";
import { deleting } from "./delete.ts";
import { cancelling, ending } from "./end.ts";
import { forking } from "./fork.ts";
import { listing } from "./list.ts";
import { recording } from "./record.ts";
import { reopening } from "./reopen.ts";
import { rewinding } from "./rewind.ts";
import { passing, restarting, sweeping } from "./time.ts";
import { updating } from "./update.ts";

/** All that may happen; what stands more than once happens more often. */
export const happenings: readonly fc.Arbitrary<Happening>[] = [
  ...[creation, creation, appending, appending, appending, recording],
  ...[talking, talking, talking, forking, rewinding, rewinding, copying, amending],
  ...[ending, cancelling, reopening, reopening, updating, updating, deleting],
  ...[passing, passing, passing, sweeping, restarting, listing, repeating, repeating],
];
