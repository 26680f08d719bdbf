/** How a command ends, for scripts and supervisors. */
export const exitCodes = {
  /** Done, or a server stopped by a signal after all calls had their time to finish. */
  done: 0,
  /** A defect, here or in the server. */
  crash: 1,
  /** Wrong usage or configuration, port in use, folder locked: a retry without a change is useless. */
  cannotStart: 2,
  /** The store failed, or a record in it is damaged. A server is to be started again. */
  storeFailed: 3,
  /** There is no such session. */
  notFound: 4,
  /** The server refused: the session has ended, somebody else wrote, a limit is reached. */
  refused: 5,
  /** No server answers at the address, or not in time. The same command may work later. */
  noServer: 6,
  /**
   * A part was not done or is not well: lines that were not imported, messages of a chat that were
   * not answered, findings of `doctor`, `verify`, `backup`.
   */
  incomplete: 7,
  /** The sessions that were compared differ; not 1, which says that nothing is known. */
  differ: 8,
  /** Interrupted, or a server's stop was cut short: 128 and the signal's number, as shells do. */
  SIGINT: 130,
  SIGTERM: 143,
} as const;

/** The table as the help text shows it. */
export const exitCodesHelp = `
Exit codes:
  0    done; a server: stopped by a signal, all calls finished or out of time
  1    a defect
  2    wrong usage or configuration, port in use, data folder locked
  3    the store failed or a record is damaged; a server: start it again
  4    no such session
  5    refused: the session has ended, somebody else wrote, a limit is reached
  6    no server at the address, or no answer in time
  7    done in part: lines not imported, messages not answered, findings of doctor, verify, backup
  8    diff: the two sessions differ
  130  interrupted (143: ended by SIGTERM)`;
