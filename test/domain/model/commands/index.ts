import type fc from "fast-check";
import type { Happening } from "../world.ts";
import { repeating } from "./again.ts";
import { appending } from "./append.ts";
import { creation } from "./create.ts";
import { deleting } from "./delete.ts";
import { cancelling, ending } from "./end.ts";
import { listing } from "./list.ts";
import { recording } from "./record.ts";
import { reopening } from "./reopen.ts";
import { passing, restarting, sweeping } from "./time.ts";
import { updating } from "./update.ts";

/** All that may happen; what stands more than once happens more often. */
export const happenings: readonly fc.Arbitrary<Happening>[] = [
  ...[creation, creation, appending, appending, appending, recording],
  ...[ending, cancelling, reopening, reopening, updating, updating, deleting],
  ...[passing, passing, passing, sweeping, restarting, listing, repeating, repeating],
];
