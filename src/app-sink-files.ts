import { realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import type { SinkConfig } from "./config-sinks.ts";
import { StartError } from "./errors.ts";

/** A file that a sink writes. */
interface Output {
  /** Its place in the configuration. */
  readonly place: string;
  readonly path: string;
}

/** Where what a receiver never takes is kept. */
export function deadLettersOf(name: string, sink: SinkConfig, data: string): string {
  const given = "deadLetters" in sink ? sink.deadLetters : undefined;
  return given ?? join(deadLettersFolder(data), `${name}.jsonl`);
}

/**
 * Looks at the files that sinks will write, before any is opened: none is in the data folder, but for dead
 * letters, and none is written twice, by whatever way of links. Errors: StartError.
 */
export async function checkFiles(
  sinks: Readonly<Record<string, SinkConfig>>,
  data: string,
): Promise<void> {
  const store = await realPath(data);
  const letters = await realPath(deadLettersFolder(data));
  const places = new Map<string, string>();
  for (const [name, sink] of Object.entries(sinks)) {
    const output = outputOf(name, sink, data);
    if (output === undefined) continue;
    const { place, path } = output;
    const real = await realPath(path);
    if (isInside(real, store) && (real === letters || !isInside(real, letters))) {
      throw new StartError(`${place}: ${path} is in the data folder; give it a path elsewhere`);
    }
    const found = await stat(real).catch(() => undefined);
    if (found?.isDirectory()) {
      throw new StartError(`${place}: ${path} is a folder; give it the path of a file`);
    }
    // Two names of one file are two paths.
    const identity = found === undefined ? real : `${found.dev}:${found.ino}`;
    const other = places.get(identity);
    if (other !== undefined) {
      throw new StartError(`${place}: ${path} is written by ${other}, too; give each its own`);
    }
    places.set(identity, place);
  }
}

/** Undefined: it writes none. */
function outputOf(name: string, sink: SinkConfig, data: string): Output | undefined {
  switch (sink.type) {
    case "stdout":
      return undefined;
    case "file":
      return { place: `sinks.${name}.path`, path: sink.path };
    case "webhook":
    case "otlp":
      return { place: `sinks.${name}.dead_letters`, path: deadLettersOf(name, sink, data) };
  }
}

function deadLettersFolder(data: string): string {
  return join(data, "dead-letters");
}

/** Where a path leads; what is not there yet is where its folder is. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const folder = dirname(path);
    return folder === path ? path : join(await realPath(folder), basename(path));
  }
}

/** Also of the folder itself. */
function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith("../") && !isAbsolute(way);
}
