import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { dashboard, dashboardQueries } from "../../deploy/grafana/dashboard.ts";
import { openTestApp, type TestApp } from "../support/app.ts";
import { eventually } from "../support/eventually.ts";
import { needs } from "../support/needs.ts";
import { type Scrape, scrape } from "../support/scrape.ts";
import { alertCase } from "./alert-cases.ts";
import { alertsFile, hasPrometheus, promtool, startPrometheus } from "./prometheus.ts";

const can = needs("Debian's prometheus", hasPrometheus);
const rules = (
  parse(readFileSync(alertsFile, "utf8")) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  }
).groups.flatMap((group) => group.rules);

let app: TestApp;
let folder: string;

/** Something of everything. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-metrics-"));
  const redaction = { content: true, fields: [], patterns: [] };
  const path = join(folder, "events.jsonl");
  const audit = { type: "file", path, maxBytes: 1e6, keep: 1, filter: "", redaction } as const;
  app = await openTestApp({
    store: "lmdb",
    config: { probeListen: { host: "127.0.0.1", port: 0 }, sinks: { audit } },
  });
  const { events, sessions, context } = app.clients;
  const message = (text: string) => ({
    payload: { case: "message" as const, value: { text } },
  });
  for (let n = 0; n < 5; n++) {
    await events.appendEvents({
      sessionId: "s",
      createIfMissing: true,
      events: [
        message("What does the harbour cost in winter, and who is there to ask?".repeat(20)),
      ],
    });
  }
  await context.compactSession({ sessionId: "s", targetRatio: 0.01 });
  await sessions.getSession({ sessionId: "nothing" }).catch(() => {});
  await eventually(async () =>
    expect((await scrape(app.probe)).value('sessiond_sessions{state="active"}')).toBe(1),
  );
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Names of series in a query. */
function seriesOf(expr: string): string[] {
  return expr.match(/\b(?:sessiond|process|nodejs)_\w+/g) ?? [];
}

/** Names that a scrape has a series of. */
function seriesIn({ text }: Scrape): Set<string> {
  return new Set(text.split("\n").flatMap((line) => /^[a-z]\w*/.exec(line)?.[0] ?? []));
}

it("a compaction that was made is counted with its tokens", async () => {
  const metrics = await scrape(app.probe);
  const { events } = await app.clients.events.listEvents({ sessionId: "s" });
  const made = events.flatMap(({ payload }) =>
    payload.case === "compaction" ? [payload.value] : [],
  );
  expect(made).toHaveLength(1);
  expect(metrics.value('sessiond_compactions_total{strategy="extract"}')).toBe(1);
  expect(metrics.value("sessiond_compaction_tokens_before_total")).toBe(made[0]?.tokensBefore);
  expect(metrics.value("sessiond_compaction_tokens_after_total")).toBe(made[0]?.tokensAfter);
});

it("a sink is counted under its name", async () => {
  await eventually(
    async () => {
      const metrics = await scrape(app.probe);
      const { session } = await app.clients.sessions.getSession({ sessionId: "s" });
      expect(metrics.value('sessiond_sink_events_total{sink="audit"}')).toBe(session?.headRevision);
      expect(metrics.value('sessiond_sink_lag_commits{sink="audit"}')).toBe(0);
    },
    { timeout: 20_000 },
  );
});

it("alerts and panels ask for series that are there", async () => {
  const there = seriesIn(await scrape(app.probe));
  const queries = [...rules.map(({ expr }) => expr), ...dashboardQueries()];
  expect(queries.length).toBeGreaterThan(30);
  for (const query of queries) {
    expect(seriesOf(query).length, query).toBeGreaterThan(0);
    for (const name of seriesOf(query)) expect(there, query).toContain(name);
  }
});

it("the dashboard that is kept is the one that is made", () => {
  const file = new URL("../../deploy/grafana/dashboard.json", import.meta.url);
  const made = `${JSON.stringify(dashboard(), null, 2)}\n`;
  expect(readFileSync(file, "utf8"), "npm run dashboard:generate").toBe(made);
});

describe.runIf(can)("with Debian's Prometheus", () => {
  it("promtool has nothing to say about the names and the format of a scrape", async () => {
    const { text } = await scrape(app.probe);
    expect(promtool(["check", "metrics"], text)).toEqual({ status: 0, said: "" });
    // So that silence means something.
    const wrong = "# HELP requests_total Gauge.\n# TYPE requests_total gauge\nrequests_total 1\n";
    expect(promtool(["check", "metrics"], wrong).status).not.toBe(0);
  });

  it("promtool takes the alerts", () => {
    expect(promtool(["check", "rules", alertsFile])).toMatchObject({ status: 0 });
  });

  it.each([
    { condition: "ill", firing: rules.map(({ alert }) => alert) },
    { condition: "well", firing: [] },
  ] as const)("the alerts that fire are right for a server that is $condition", async (args) => {
    const folder = await mkdtemp(join(tmpdir(), "sessiond-alerts-"));
    try {
      const file = join(folder, "case.yaml");
      await writeFile(file, alertCase(args.condition, args.firing));
      expect(promtool(["test", "rules", file])).toMatchObject({ status: 0 });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("a Prometheus scrapes a running server and answers what it was told", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sessiond-prometheus-"));
    try {
      await using prometheus = await startPrometheus(folder, app.probe ?? "");
      const first = async (expr: string) => (await prometheus.query(expr))[0]?.value;
      await eventually(
        async () => expect(await first('sessiond_events_total{payload="message"}')).toBe(5),
        { timeout: 20_000 },
      );
      expect(await first('up{job="sessiond"}')).toBe(1);
      expect(await first('sessiond_sessions{state="active"}')).toBe(1);
      expect(await first('sessiond_calls_total{method="GetSession",code="not_found"}')).toBe(1);
      const appends = 'method="AppendEvents",code="ok"';
      expect(await first(`sessiond_call_duration_seconds_count{${appends}}`)).toBe(5);
      expect(await first(`sessiond_call_duration_seconds_bucket{${appends},le="+Inf"}`)).toBe(5);

      for (const query of dashboardQueries()) {
        const asked = query.replaceAll("$__rate_interval", "1m").replaceAll("$instance", ".*");
        await expect(prometheus.query(asked), query).resolves.not.toBeUndefined();
      }

      await app.clients.sessions.endSession({ sessionId: "s" });
      await eventually(
        async () => expect(await first('sessiond_sessions{state="completed"}')).toBe(1),
        { timeout: 20_000 },
      );
      await eventually(
        async () => {
          const { groups } = (await prometheus.get("rules")) as {
            groups: { rules: { name: string; health: string }[] }[];
          };
          const evaluated = groups.flatMap((group) => group.rules);
          expect(evaluated.map(({ name, health }) => ({ name, health }))).toEqual(
            rules.map(({ alert }) => ({ name: alert, health: "ok" })),
          );
        },
        { timeout: 20_000 },
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);
});
