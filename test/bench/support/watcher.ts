/*
 * Opens the watches it is told on stdin, says on stdout when all have their first message, and
 * reads them, or does not, until it is killed.
 */
import { json } from "node:stream/consumers";
import type { WatcherTask } from "./watcher-process.ts";
import { openWatches } from "./watches.ts";

const { reads, ...task } = (await json(process.stdin)) as WatcherTask;
const { streams } = await openWatches(task);
if (!reads) for (const stream of streams) stream.pause();
process.stdout.write("open\n");
