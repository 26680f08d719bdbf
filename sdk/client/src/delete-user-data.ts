import { type CallOptions, toConnectOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";

export interface DeleteUserDataOptions extends CallOptions {
  /** Find and count, delete nothing. Default false. */
  readonly dryRun?: boolean | undefined;
}

/** A session of somebody else that shares history of the user's. */
export interface SharingFork {
  readonly sessionId: string;
  /** The session it was forked from. */
  readonly parentSessionId: string;
}

/** What became of a user's data. */
export interface DeletedUserData {
  /** Sessions of the user that were found. A dry run stops counting at 10,000. */
  readonly matched: number;
  /** Sessions that were deleted. */
  readonly deleted: number;
  /** Sessions that could not be read, and are still there. */
  readonly failed: number;
  /** Sessions of others that share history of these, which stays with them; 1,000 of each call. */
  readonly forks: readonly SharingFork[];
  /** How many such sessions there are. */
  readonly forkCount: number;
  /** Sessions of others that went with these as their children; in a dry run those that would. */
  readonly childCount: number;
}

/** Deletes all sessions of a user in the namespace, in as many calls as it takes. */
export async function deleteUserData(
  context: ClientContext,
  userId: string,
  options: DeleteUserDataOptions,
): Promise<DeletedUserData> {
  const { namespace, clients } = context;
  const { dryRun = false } = options;
  const totals = { matched: 0, deleted: 0, failed: 0, forkCount: 0, childCount: 0 };
  const forks: SharingFork[] = [];
  for (;;) {
    const call = clients.sessions.deleteUserData(
      { namespace, userId, dryRun },
      toConnectOptions(options),
    );
    const answer = await translated(call);
    totals.matched += answer.matched;
    totals.deleted += answer.deleted;
    // Those that cannot be read are met again by every call.
    totals.failed = answer.failed;
    totals.forkCount += answer.forkCount;
    totals.childCount += answer.childCount;
    forks.push(
      ...answer.forks.map(({ sessionId, parentSessionId }) => ({ sessionId, parentSessionId })),
    );
    if (!answer.more || dryRun) return { ...totals, forks };
  }
}
