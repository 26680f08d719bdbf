import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { GetSessionResponseSchema, type SessionService } from "@sessiond/contract";
import type { SessionList } from "../domain/session-list.ts";
import type { Sessions } from "../domain/sessions.ts";

export function sessionService(args: {
  sessions: Sessions;
  list: SessionList;
}): ServiceImpl<typeof SessionService> {
  const { sessions, list } = args;
  return {
    createSession: (request) => sessions.create(request),
    getSession: async (request) =>
      create(GetSessionResponseSchema, { session: await sessions.get(request) }),
    listSessions: (request) => list.list(request),
    updateSession: (request) => sessions.update(request),
    endSession: (request) => sessions.end(request),
    deleteSession: (request) => sessions.delete(request),
  };
}
