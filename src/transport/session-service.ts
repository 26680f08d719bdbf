import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { GetSessionResponseSchema, type SessionService } from "@sessiond/contract";
import type { Domain } from "../domain/domain.ts";
import { traceOf } from "./trace.ts";

type Parts =
  | "sessions"
  | "list"
  | "lifecycle"
  | "forks"
  | "rewinds"
  | "state"
  | "cleanup"
  | "userData"
  | "exports"
  | "imports";

export function sessionService({
  sessions,
  list,
  lifecycle,
  forks,
  rewinds,
  state,
  cleanup,
  userData,
  exports,
  imports,
}: Pick<Domain, Parts>): ServiceImpl<typeof SessionService> {
  return {
    createSession: (request, context) => sessions.create(request, traceOf(context)),
    getSession: async (request) =>
      create(GetSessionResponseSchema, { session: await sessions.get(request) }),
    listSessions: (request) => list.list(request),
    updateSession: (request) => sessions.update(request),
    endSession: (request, context) => sessions.end(request, traceOf(context)),
    cancelSession: (request, context) => lifecycle.cancel(request, traceOf(context)),
    reopenSession: (request, context) => lifecycle.reopen(request, traceOf(context)),
    forkSession: (request, context) => forks.fork(request, traceOf(context)),
    rewindSession: (request) => rewinds.rewind(request),
    deleteSession: (request) => sessions.delete(request),
    patchState: (request) => state.patch(request),
    getState: (request) => state.get(request),
    cleanupSessions: (request) => cleanup.cleanup(request),
    deleteUserData: (request) => userData.delete(request),
    exportSession: (request) => exports.session(request),
    importSession: (requests) => imports.session(requests),
  };
}
