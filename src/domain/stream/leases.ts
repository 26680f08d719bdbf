import type { ConsumerRecord } from "@sessiond/contract/store";
import { ConsumerInUseError, ConsumerTakenOverError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { uidText } from "../../store/keys.ts";
import type { ConsumerCell } from "./consumer-cells.ts";
import { ReaderLease } from "./reader-lease.ts";

/**
 * Gives a reader the name of a consumer: when nobody has it, when the one who has it was not heard of for a
 * while, or when it is to be taken over; that one's watch then ends.
 *
 * Errors: ConsumerInUseError.
 */
export function takeLease(
  cell: ConsumerCell,
  args: { id: string; reader: string; takeOver: boolean; nowMs: number },
): ReaderLease {
  const { takeOver, reader, nowMs } = args;
  if (cell.lease !== undefined) {
    if (!takeOver && isActive(cell.lease, nowMs)) throw inUse(cell, cell.lease);
    cell.lease.end(new ConsumerTakenOverError({ name: cell.name.name, reader }));
  }
  cell.lease = new ReaderLease(args);
  return cell.lease;
}

/**
 * Checks that who shows this id, or none, may commit. A lease of before is good as long as nobody else reads:
 * everything up to its reader's cursor was dealt with in order.
 *
 * Errors: ConsumerInUseError, ConsumerTakenOverError.
 */
export function checkLease(
  cell: ConsumerCell,
  { uid }: ConsumerRecord,
  { id, nowMs }: { id: string; nowMs: number },
): void {
  const { lease } = cell;
  if (id === "") {
    if (lease !== undefined && isActive(lease, nowMs)) throw inUse(cell, lease);
    return;
  }
  const isOther = lease !== undefined && lease.id !== id;
  // A consumer that was made anew has another uid.
  if (isOther || !id.startsWith(`${uidText(uid)}.`)) {
    throw new ConsumerTakenOverError({ name: cell.name.name, reader: lease?.reader ?? "" });
  }
  lease?.touch(nowMs);
}

function isActive({ activeMs }: ReaderLease, nowMs: number): boolean {
  return nowMs - activeMs < limits.consumerLeaseMs;
}

function inUse(
  { name: { name } }: ConsumerCell,
  { reader, openMs }: ReaderLease,
): ConsumerInUseError {
  return new ConsumerInUseError({ name, reader, openMs });
}
