import { median } from "../load.ts";
import { cpuMs } from "../process-stats.ts";
import {
  type ClientProcess,
  type ClientRun,
  type ClientTask,
  startClient,
} from "./client-process.ts";
import { type ClientName, clients } from "./clients.ts";

/** Whom the clients call. */
export interface Target {
  readonly address: string;
  readonly pid: number;
}

/** A round, and the CPU time that each side spent on one call, in all threads. */
interface Round extends ClientRun {
  readonly clientCpuUs: number;
  readonly serverCpuUs: number;
}

/** What the rounds of one client say, as medians. */
export interface Standing {
  readonly client: ClientName;
  median(of: (round: Round) => number): number;
  /** How many times as many calls a second as another client; the median of the rounds' ratios. */
  timesOf(other: ClientName): number;
}

const names = Object.keys(clients) as ClientName[];

/**
 * Gives every client the same task, one client after the other, round by round, so that a slow
 * moment of the machine meets all. The round before the first warms up both sides.
 */
export async function inTurns(
  server: Target,
  { rounds, ...task }: ClientTask & { readonly rounds: number },
): Promise<Standing[]> {
  await using processes = new AsyncDisposableStack();
  const started = await Promise.all(
    names.map(async (name) => ({ name, client: await startClient(name, server.address) })),
  );
  for (const { client } of started) processes.use(client);
  const results = new Map(names.map((name) => [name, [] as Round[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, client } of started) {
      const result = await measured({ client, server, task });
      if (round > 0) results.get(name)?.push(result);
    }
  }
  const roundsOf = (name: ClientName) => results.get(name) ?? [];
  return names.map((client) => ({
    client,
    median: (of) => median(roundsOf(client).map(of)),
    timesOf: (other) =>
      median(
        roundsOf(client).map(
          ({ perSecond }, i) => perSecond / (roundsOf(other)[i]?.perSecond ?? Number.NaN),
        ),
      ),
  }));
}

async function measured(args: {
  readonly client: ClientProcess;
  readonly server: Target;
  readonly task: ClientTask;
}): Promise<Round> {
  const { client, server, task } = args;
  const before = { clientMs: cpuMs(client.pid), serverMs: cpuMs(server.pid) };
  const run = await client.run(task);
  return {
    ...run,
    clientCpuUs: ((cpuMs(client.pid) - before.clientMs) * 1_000) / run.calls,
    serverCpuUs: ((cpuMs(server.pid) - before.serverMs) * 1_000) / run.calls,
  };
}
