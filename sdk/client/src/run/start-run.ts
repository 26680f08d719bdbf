import type { ClientContext } from "../context.ts";
import { EndWatch } from "../lifecycle/end-watch.ts";
import { overSignal } from "../lifecycle/over-signal.ts";
import { untilAborted } from "../lifecycle/until-aborted.ts";
import type { Session } from "../session.ts";
import type { Sessions } from "../sessions.ts";
import { ActiveRun, type RunParts } from "./active-run.ts";
import { Run } from "./run.ts";
import { type RunInput, toNewSession } from "./run-input.ts";
import { type Outcome, type RunResult, readResult } from "./run-result.ts";
import { StepLog } from "./step-log.ts";
import { errorRecordOf } from "./thrown-error.ts";

/** The work of a run. */
export type RunWork<T> = (run: ActiveRun) => T | Promise<T>;

/*
 * 1. Create the session, and watch for its end.
 * 2. Do the work, until it is done, or the session has ended, or the client is closed.
 * 3. Record what the work gave, or what it threw, and end the session. One that has ended keeps its
 *    first end, so nobody has to ask who was first.
 * 4. Read what became of it.
 */

/** Starts a run. `Sessiond.run` documents it. */
export function startRun<T>(
  { context, sessions }: { readonly context: ClientContext; readonly sessions: Sessions },
  input: RunInput,
  work: RunWork<T>,
): Run<T> {
  const { ifExists } = input;
  const session = (async () => sessions.create(toNewSession(input), { ifExists }))();
  const result = session.then((created) => execute(context, { session: created, input, work }));
  // Whoever awaits or iterates the run gets these errors; nobody has to.
  session.catch(() => {});
  result.catch(() => {});
  return new Run(session, result);
}

async function execute<T>(
  context: ClientContext,
  { session, input, work }: { session: Session; input: RunInput; work: RunWork<T> },
): Promise<RunResult<T>> {
  const { newId, elapsedMs } = context;
  const endWatch = new EndWatch(context, session.sessionId);
  const signal = overSignal(endWatch);
  const parts = { session, signal, log: new StepLog({ session, signal, newId, elapsedMs }) };
  const unlink = cancelWith(input.signal, session);
  try {
    const outcome = await outcomeOf(parts, work);
    await end(parts, outcome);
    return await readResult(session, outcome);
  } finally {
    unlink();
    endWatch.close();
  }
}

async function outcomeOf<T>(parts: RunParts, work: RunWork<T>): Promise<Outcome<T>> {
  try {
    const working = Promise.resolve(new ActiveRun(parts)).then(work);
    const output = await untilAborted(working, parts.signal);
    if (output !== undefined) await parts.log.recordOutput(output);
    return { output };
  } catch (error) {
    return { thrown: { error } };
  }
}

async function end<T>(parts: RunParts, { thrown }: Outcome<T>): Promise<void> {
  const { session, signal, log } = parts;
  if (thrown === undefined) {
    await session.end();
    return;
  }
  const error = errorRecordOf(thrown.error);
  // A step at the limit would end the run as that, and not as failed.
  if (!signal.aborted && !log.isAtLastStep) {
    await log.recordWhole({ type: "error", details: error }).catch(() => {});
  }
  await session.end({ state: "failed", error });
}

/** Cancels the session when the signal fires. Returns what takes the listener away again. */
function cancelWith(signal: AbortSignal | undefined, session: Session): () => void {
  const cancel = () => {
    const { message } = errorRecordOf(signal?.reason);
    session.cancel({ reason: message }).catch(() => {});
  };
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  return () => signal?.removeEventListener("abort", cancel);
}
