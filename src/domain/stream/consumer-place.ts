import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConsumerRecord } from "@sessiond/contract/store";
import { type CursorCodec, type CursorPlace, cursorCodec, scopeOf } from "../../cursor.ts";
import { uidText } from "../../store/keys.ts";

/** Largest number of the contract: lags beyond it are told as this. */
const maxCount = 0xffff_ffff;

/** Cursors of what a consumer reads: those of any watch of the same session or namespace. */
export function codecOf(
  storeId: Uint8Array,
  namespace: string,
  { sessionUid }: Pick<ConsumerRecord, "sessionUid">,
): CursorCodec {
  return sessionUid.length === 0
    ? cursorCodec("namespace", scopeOf(storeId, namespace))
    : cursorCodec("session", scopeOf(storeId, uidText(sessionUid)));
}

export function placeOf(record: ConsumerRecord): CursorPlace {
  const place = Number(record.place);
  return { place, knownThrough: Math.max(place, Number(record.knownThrough)) };
}

/** A place as records have it. */
export function recordedPlace({ place, knownThrough }: CursorPlace) {
  return {
    place: BigInt(place),
    knownThrough: knownThrough > place ? BigInt(knownThrough) : 0n,
  };
}

/** The record with its place moved to `to`; the same record when that is not further. */
export function movedTo(
  record: ConsumerRecord,
  to: CursorPlace & { readonly storeId: Uint8Array; readonly nowMs: number },
): ConsumerRecord {
  const from = placeOf(record);
  const place = Math.max(from.place, to.place);
  const knownThrough = Math.max(from.knownThrough, to.knownThrough);
  const isOfStore = isOf(to.storeId, record);
  if (place === from.place && knownThrough === from.knownThrough && isOfStore) return record;
  return {
    ...record,
    ...recordedPlace({ place, knownThrough }),
    storeId: to.storeId,
    commitTime: timestampFromMs(to.nowMs),
  };
}

/** The place was kept in this store, and not in the one that it was restored from. */
export function isOf(storeId: Uint8Array, record: ConsumerRecord): boolean {
  return Buffer.compare(storeId, record.storeId) === 0;
}

/** How far a place is behind the newest one; nothing when that is unknown. */
export function lagBehind(newest: number | undefined, { place }: { place: number }): number {
  return countOf((newest ?? place) - place);
}

/** A difference of places as a number of the contract. */
export function countOf(places: number): number {
  return Math.min(maxCount, Math.max(0, places));
}
