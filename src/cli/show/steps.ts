import { toJson } from "@bufbuild/protobuf";
import type { Step } from "@sessiond/client";
import { StepSchema } from "@sessiond/contract";
import type { DataOutput } from "../host.ts";
import { type JsonWriter, jsonWriter, outputFormat } from "../output-format.ts";
import type { Server } from "../server.ts";
import { paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";
import { durationText } from "../text/times.ts";
import { cut, padded } from "../text/width.ts";

const pageSize = 500;
const columns = { number: 4, type: 11, name: 16, duration: 8, status: 9 };
/** Columns of what stands before input and output, with two spaces behind each. */
const indent = Object.values(columns).reduce((sum, width) => sum + width + 2, 0);

/** Prints the steps of a session as they are read: there may be any number. */
export async function steps(server: Server, id: string, { output }: { readonly output?: string }) {
  const { stdout } = server.host;
  const format = outputFormat(output, "text", stdout);
  if (format === "text") await printTable(server, id);
  else await printJson(server, id, jsonWriter(stdout, format));
  return server.interruption.exitCode();
}

async function printJson(
  { sessiond, interruption }: Server,
  sessionId: string,
  writer: JsonWriter,
) {
  const { fromConnectError } = await import("@sessiond/client");
  const { clients, namespace } = sessiond;
  let pageToken = "";
  try {
    do {
      const page = await clients.events.listSteps(
        { namespace, sessionId, pageSize, pageToken },
        { signal: interruption.signal },
      );
      for (const step of page.steps) await writer.write(toJson(StepSchema, step));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  } catch (error) {
    throw fromConnectError(error, { sessionId });
  }
  writer.end();
}

async function printTable({ host, sessiond, interruption }: Server, id: string) {
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const rows = tableOf(host.stdout);
  let number = 0;
  for await (const step of session.steps({ pageSize, signal })) {
    number += 1;
    await rows.print(step);
  }
  if (number === 0) host.stderr.write("no steps\n");
}

function tableOf(output: DataOutput) {
  const paint = paintFor(output);
  const room = output.isTerminal ? Math.max(10, output.columns() - indent) : undefined;
  let isBegun = false;
  return {
    print: (step: Step) => {
      if (!isBegun) output.write(head(paint));
      isBegun = true;
      const { number, type = "unknown", name, durationMs, status = "" } = step;
      const duration = durationMs === undefined ? "" : durationText(durationMs);
      const statusCell = padded(status, columns.status);
      const cells = [
        String(number).padStart(columns.number),
        padded(type, columns.type),
        paint("cyan", padded(safe(name), columns.name)),
        duration.padStart(columns.duration),
        status === "failed" ? paint("red", statusCell) : statusCell,
        shown(step, room),
      ];
      output.write(`${cells.join("  ").trimEnd()}\n`);
      return output.drained();
    },
  };
}

function head(paint: ReturnType<typeof paintFor>): string {
  const { number, type, name, duration, status } = columns;
  const cells = [
    "STEP".padStart(number),
    "TYPE".padEnd(type),
    "NAME".padEnd(name),
    "DURATION".padStart(duration),
    "STATUS".padEnd(status),
    "INPUT/OUTPUT",
  ];
  return `${paint("bold", cells.join("  "))}\n`;
}

/** What went in and what came out. The input of a result stands at its call. */
function shown({ type, input, output }: Step, room: number | undefined): string {
  const text =
    type === "tool_result" ? output : [input, output].filter((part) => part !== "").join(" -> ");
  if (room === undefined) return safe(text);
  // A megabyte need not be made safe to show a line of it.
  return cut(safe(text.slice(0, room + 1)), room);
}
