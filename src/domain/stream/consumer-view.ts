import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Consumer, ConsumerSchema } from "@sessiond/contract";
import type { ConsumerRecord } from "@sessiond/contract/store";
import { uidText } from "../../store/keys.ts";
import type { ConsumerName } from "../../store/store.ts";
import type { ReaderLease } from "./reader-lease.ts";

/** A consumer as callers see it. */
export function consumerView(
  { namespace, name }: ConsumerName,
  { sessionId, sessionUid, filter, createTime, commitTime }: ConsumerRecord,
  now: {
    readonly cursor: string;
    readonly lag: number;
    readonly lease: ReaderLease | undefined;
    readonly isOfSink: boolean;
  },
): Consumer {
  const { cursor, lag, lease, isOfSink } = now;
  return create(ConsumerSchema, {
    namespace,
    name,
    sessionId,
    sessionUid: sessionUid.length === 0 ? "" : uidText(sessionUid),
    filter,
    cursor,
    lag,
    ...(createTime && { createTime }),
    ...(commitTime && { commitTime }),
    // A sink reads all the time: it has a lease only while there is something.
    ...(isOfSink &&
      createTime && {
        reader: { name: "server", openTime: createTime, activeTime: commitTime ?? createTime },
      }),
    ...(!isOfSink &&
      lease && {
        reader: {
          name: lease.reader,
          openTime: timestampFromMs(lease.openMs),
          activeTime: timestampFromMs(lease.activeMs),
        },
      }),
  });
}
