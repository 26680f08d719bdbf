/** How a command ends, for scripts and supervisors. */
export const exitCodes = {
  /** Done, or stopped by a signal after all calls had their time to finish. */
  done: 0,
  /** A defect. */
  crash: 1,
  /** Wrong usage or configuration, port in use, folder locked: a retry without a change is useless. */
  cannotStart: 2,
  /** The store failed and what is stored is unknown: start again, the start finds out. */
  storeFailed: 3,
  /** A second signal cut the stop short: 128 and the signal's number, as shells do. */
  SIGINT: 130,
  SIGTERM: 143,
} as const;
