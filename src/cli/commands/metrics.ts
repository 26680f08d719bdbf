import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import type { AggregateOptions, MetricGroupingWord, MetricWord } from "@sessiond/client";
import { SessionMetricsSchema } from "@sessiond/contract";
import { type Command, Option } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { counterRows } from "../metrics/counter-rows.ts";
import { jsonOf, writeAggregate } from "../metrics/write-aggregate.ts";
import { duration, positive } from "../options.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { writeTable } from "../text/table.ts";

interface Flags extends ServerFlags {
  readonly agent?: string | true;
  readonly user?: string | true;
  readonly label?: string;
  readonly by?: "model" | "state" | "preset" | "title";
  readonly period?: number;
  readonly from?: string;
  readonly to?: string;
  readonly metrics?: string;
  readonly limit?: number;
  readonly output?: string;
}

/** What to ask for, as the command line says it. */
type Wanted = AggregateOptions<MetricWord> & { readonly metrics?: readonly MetricWord[] };

const help = `
Without a session: numbers over all sessions of a period, of which each counts what happened in it. With
--agent, --user or --label, a line for each agent, user or value; with an ID or KEY=VALUE, that one alone.
The last column is of the sessions created over the period, the newest on the right.

Examples:
  sessiond metrics                                       the last seven days
  sessiond metrics --agent --period 24h
  sessiond metrics --agent researcher --metrics success_rate,p95_duration,cost
  sessiond metrics --user --from 2026-11-01 --to 2026-12-01 --limit 10
  sessiond metrics --label tier=gold -o json
  sessiond metrics user-42                               the counters of one session`;

export function addMetrics(program: Command, line: CommandLine): void {
  const command = program
    .command("metrics")
    .description("show numbers over sessions, or those of one")
    .argument("[session]", "id of a session: its counters alone")
    .option("--agent [id]", "by agent, or of one agent")
    .option("--user [id]", "by user, or of one user")
    .option("--label <key>", "by the values of a label, or with KEY=VALUE of one of them")
    .addOption(
      new Option("--by <field>", "by a field of the sessions that are there").choices([
        ...["model", "state", "preset", "title"],
      ]),
    )
    .option("--period <duration>", "how far back, such as 24h or 30d (default 7d)", duration)
    .option("--from <time>", "since an ISO time such as 2026-11-01, instead of --period")
    .option("--to <time>", "until an ISO time (default now)")
    .option("--metrics <names>", "which numbers, with commas between them")
    .option("--limit <number>", "most lines (default 100)", positive)
    .addOption(outputOption("table"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (id: string | undefined, flags: Flags) => {
    if (id !== undefined) checkAlone(flags);
    const { defaultMetrics, metricNames } = await import("@sessiond/client");
    const metrics = metricsOf(flags.metrics, Object.keys(metricNames)) ?? defaultMetrics;
    const wanted = id === undefined ? wantedBy(flags, metrics) : undefined;
    await withServer(line, flags, (server) =>
      wanted === undefined ? ofSession(server, id ?? "", flags) : show(server, wanted, flags),
    );
  });
}

async function show(
  { host, sessiond, interruption: { signal } }: Server,
  wanted: Wanted & { metrics: readonly MetricWord[] },
  { output }: Flags,
): Promise<undefined> {
  const format = outputFormat(output, "table", host.stdout);
  // For the bars, if nobody asked for the number itself.
  const metrics = withSessions(wanted.metrics);
  const aggregate = await sessiond.metrics.aggregate({
    ...wanted,
    metrics,
    bucket: bucketFor(wanted),
    signal,
  });
  if (format === "table") await writeAggregate(host, aggregate, wanted);
  else writeJson(host.stdout, format, jsonOf(aggregate, wanted.metrics));
  return undefined;
}

function withSessions(metrics: readonly MetricWord[]): readonly MetricWord[] {
  return metrics.includes("sessions_total") ? metrics : [...metrics, "sessions_total"];
}

const hourMs = 3_600_000;
const defaultPeriodMs = 7 * 24 * hourMs;
/** Hours for up to two days, else stretches of 24. */
function bucketFor({ period, from, to }: Wanted): "hour" | "day" {
  const now = new Date();
  const ms = from === undefined ? Number(period ?? defaultPeriodMs) : +(to ?? now) - +from;
  return ms <= 48 * hourMs ? "hour" : "day";
}

async function ofSession(
  { host, sessiond, interruption: { signal } }: Server,
  id: string,
  { output }: Flags,
): Promise<undefined> {
  const { fromConnectError } = await import("@sessiond/client");
  const { namespace, clients } = sessiond;
  const call = clients.metrics.getSessionMetrics({ namespace, sessionId: id }, { signal });
  const { metrics = create(SessionMetricsSchema) } = await call.catch((error: unknown) => {
    throw fromConnectError(error);
  });
  const format = outputFormat(output, "table", host.stdout);
  const json = toJson(SessionMetricsSchema, metrics) as JsonObject;
  if (format !== "table") writeJson(host.stdout, format, json);
  else await writeTable(host.stdout, { head: ["COUNTER", "VALUE"], rows: counterRows(json) });
  return undefined;
}

/** Errors: CommandError for what only numbers over sessions have. */
function checkAlone(flags: Flags): void {
  const flag = ofAggregates.find((name) => flags[name] !== undefined);
  if (flag === undefined) return;
  throw wrong(
    `--${flag} is for numbers over sessions, and the counters of one session have none; leave out --${flag} or the id`,
  );
}

const ofAggregates = [
  "agent",
  "user",
  "label",
  "by",
  "period",
  "from",
  "to",
  "metrics",
  "limit",
] as const satisfies readonly (keyof Flags)[];

function wantedBy(flags: Flags, metrics: readonly MetricWord[]) {
  const { period, limit } = flags;
  const from = dateOf("--from", flags.from);
  const to = dateOf("--to", flags.to);
  if (from !== undefined && period !== undefined) {
    throw wrong("--from and --period both say where it begins; give one of them");
  }
  return {
    metrics,
    ...groupingOf(flags),
    ...(period !== undefined && { period }),
    ...(from && { from }),
    ...(to && { to }),
    ...(limit !== undefined && { maxGroups: limit }),
  };
}

/** What lines are of, and what is left out. */
function groupingOf({
  agent,
  user,
  label,
  by,
}: Flags): Pick<Wanted, "groupBy" | "agentId" | "userId" | "label"> {
  const groupings: MetricGroupingWord[] = [];
  if (agent === true) groupings.push("agent");
  if (user === true) groupings.push("user");
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(label ?? "") ?? [];
  if (label !== undefined && key === undefined) groupings.push({ label });
  if (by !== undefined) groupings.push(by);
  const [groupBy, another] = groupings;
  if (another !== undefined)
    throw wrong("numbers go by one thing at a time; give one of them an id");
  return {
    ...(groupBy && { groupBy }),
    ...(typeof agent === "string" && { agentId: agent }),
    ...(typeof user === "string" && { userId: user }),
    ...(key !== undefined && value !== undefined && { label: { key, value } }),
  };
}

function metricsOf(text: string | undefined, names: readonly string[]) {
  if (text === undefined) return undefined;
  const metrics = text.split(",").map((name) => name.trim().replaceAll("-", "_"));
  const unknown = metrics.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw wrong(`there is no metric "${unknown}"; there are ${names.join(", ")}`);
  }
  return [...new Set(metrics)] as readonly MetricWord[];
}

function dateOf(flag: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const isTime = /^\d{4}-\d{2}-\d{2}(?:T.*)?$/.test(text) && !Number.isNaN(Date.parse(text));
  if (!isTime) throw wrong(`${flag} is "${text}"; give an ISO time such as 2026-11-01`);
  return new Date(text);
}

function wrong(message: string): CommandError {
  return new CommandError(exitCodes.cannotStart, message);
}
