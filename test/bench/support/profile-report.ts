import { readdirSync, readFileSync } from "node:fs";
import type { Profiler } from "node:inspector";
import { join } from "node:path";

/** Where the server's time went, self time in milliseconds. */
export interface TimeSpent {
  readonly totalMs: number;
  readonly byArea: ReadonlyMap<string, number>;
  readonly byFunction: ReadonlyMap<string, number>;
}

/*
 * Areas by the path of the file, first match. Native functions have no path and count for their
 * caller.
 */
const areas: readonly (readonly [string, RegExp])[] = [
  ["transport: grpc-js", /@grpc\/grpc-js/],
  ["transport: http2, streams, net", /^node:(internal\/)?(http2|stream|net|js_stream|tls|buffer)/],
  ["transport: ours", /\/src\/transport\//],
  ["protobuf: contract, encoding", /@bufbuild\/protobuf|sdk\/contract/],
  ["domain: tokens", /\/src\/domain\/tokens\/|^node:internal\/(worker|per_context\/messageport)/],
  ["domain: validation", /\/src\/domain\/validation\//],
  ["domain: streams", /\/src\/domain\/stream\//],
  ["domain: the rest", /\/src\/domain\//],
  ["store: lmdb driver", /node_modules\/(lmdb|weak-lru-cache|msgpackr|ordered-binary)/],
  ["store: ours", /\/src\/store\//],
  [
    "node: timers, promises, events",
    /^node:(internal\/)?(process|timers|events|async|event|abort)/,
  ],
  ["node: the rest", /^node:/],
  ["others", /./],
];

const engine: ReadonlyMap<string, string> = new Map([
  ["(garbage collector)", "garbage collection"],
  ["(program)", "native code outside of JavaScript"],
  ["(idle)", "idle"],
]);

type Node = Profiler.ProfileNode;

/**
 * Reads the profile of a process's main thread from a folder, and adds up the self time of the
 * samples between two moments of `process.hrtime`.
 */
export function readProfile(
  folder: string,
  window: { readonly startUs: number; readonly endUs: number },
): TimeSpent {
  // CPU.date.time.pid.thread.number.cpuprofile; the main thread is 0.
  const name = readdirSync(folder).find((file) => /^CPU\.\d+\.\d+\.\d+\.0\./.test(file));
  if (name === undefined) throw new Error(`no profile in ${folder}`);
  const profile = JSON.parse(readFileSync(join(folder, name), "utf8")) as Profiler.Profile;
  const labels = labelsOf(profile.nodes);
  const byArea = new Map<string, number>();
  const byFunction = new Map<string, number>();
  const { samples = [], timeDeltas = [] } = profile;
  let atUs = profile.startTime;
  let totalMs = 0;
  for (const [index, id] of samples.entries()) {
    atUs += timeDeltas[index] ?? 0;
    if (atUs < window.startUs || atUs > window.endUs) continue;
    // A sample stands for the time until the next one.
    const ms = (timeDeltas[index + 1] ?? 0) / 1_000;
    const label = labels.get(id);
    if (label === undefined) throw new Error(`sample of an unknown node ${id}`);
    totalMs += ms;
    byArea.set(label.area, (byArea.get(label.area) ?? 0) + ms);
    byFunction.set(label.name, (byFunction.get(label.name) ?? 0) + ms);
  }
  return { totalMs, byArea, byFunction };
}

interface Label {
  readonly area: string;
  readonly name: string;
}

function labelsOf(nodes: readonly Node[]): Map<number, Label> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const labels = new Map<number, Label>();
  const visit = (node: Node, caller: Label): void => {
    const label = labelOf(node, caller);
    labels.set(node.id, label);
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) visit(child, label);
    }
  };
  const [root] = nodes;
  if (root !== undefined) visit(root, { area: "others", name: "(root)" });
  return labels;
}

function labelOf({ callFrame: { functionName, url, lineNumber } }: Node, caller: Label): Label {
  const engineArea = engine.get(functionName);
  if (engineArea !== undefined) return { area: engineArea, name: engineArea };
  const own = functionName || "(anonymous)";
  if (url === "") return { area: caller.area, name: `${own}, called by ${caller.name}` };
  const [area = "others"] = areas.find(([, pattern]) => pattern.test(url)) ?? [];
  return { area, name: `${own} ${shortened(url)}:${lineNumber + 1}` };
}

function shortened(url: string): string {
  return url.replace(/^.*\/node_modules\//, "").replace(/^file:.*\/(?=src\/)/, "");
}
