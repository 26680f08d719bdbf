import { create } from "@bufbuild/protobuf";
import {
  type BundleFooter,
  BundleFooterSchema,
  type BundleMeasures,
  BundleMeasuresSchema,
  type Session,
} from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import type { StoredSession } from "../../store/store.ts";

/*
 * What of a session travels beside its events. Whatever else belongs to a session alone, and is in
 * neither its record nor its log, gets a part of its own here and in `ExportSessionResponse`.
 */

/**
 * A session's own fields: without what belongs to a server, or follows from the rest. Of its parent
 * nothing but what that was called: elsewhere it is nobody's child.
 */
export function headerSession(session: Session): Session {
  const { expireTime: _due, metrics: _metrics, lastActivityTime: _last, ...rest } = session;
  const parent = rest.parent && { ...rest.parent, uid: "", depth: 0 };
  return { ...rest, namespace: "", uid: "", headRevision: 0, ...(parent && { parent }) };
}

/** The footer of a session without its checksum. */
export function footerOf({ head }: StoredSession): BundleFooter {
  return create(BundleFooterSchema, {
    events: head.revision,
    measures: measuresOf(head),
    ...(head.metrics && { metrics: head.metrics }),
  });
}

function measuresOf({ windowTokens, reencodedRevision, context }: SessionHead): BundleMeasures {
  return create(BundleMeasuresSchema, {
    windowTokens,
    reencodedRevision,
    summaryTokens: context?.compaction?.summaryTokens ?? 0,
    holdBelowTokens: context?.holdBelowTokens ?? 0,
    countedOutputTokens: context?.countedOutputTokens ?? 0,
  });
}
