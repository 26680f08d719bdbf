import { setImmediate } from "node:timers/promises";
import { SummariserFailedError } from "../../../errors.ts";
import { type Fragment, fragmentsOf, fragmentsOfSummary } from "./extract/fragments.ts";
import { type Candidates, render, select, toCandidates } from "./extract/select.ts";
import type { CountTokens, Summariser, SummaryTask } from "./summariser.ts";

/** Units of text that are read before others get their turn; about 5 ms. */
const turnLength = 64 * 1024;
/** Fragments one event may give, and all events together unless one each are more. */
const fragmentsOfEvent = 96;
const fragmentsOfAll = 8_000;
/** How often a text that came out too long or too short is made again. */
const attempts = 4;
/** A summary this full is full enough. */
const fullEnough = 0.9;

/**
 * Makes summaries without a model: of each group a line with its most telling sentences.
 *
 * The order is that of the conversation; the lines of the summary before come first, and compete
 * with the new ones for the room there is. What users said, and what holds ids, numbers, names or
 * decisions, goes before what tools and models said and before chatter; when room is short,
 * sentences are put as notes, and the least telling ones are left out.
 *
 * The same task gives the same summary. It takes time by the number of events, with a bound for
 * each, and lets others run every few milliseconds.
 */
export class ExtractSummariser implements Summariser {
  readonly #count: CountTokens;

  constructor(options: { readonly count: CountTokens }) {
    this.#count = options.count;
  }

  async summarise(task: SummaryTask): Promise<string> {
    const candidates = await toCandidates(await readAll(task));
    if (candidates.inOrder.length === 0) return this.#whole(nothingSaid(task), task);
    return this.#fit(candidates, task);
  }

  /** Estimates are corrected by exact counts until the text fits and uses the room there is. */
  async #fit(candidates: Candidates, task: SummaryTask): Promise<string> {
    const { maxTokens, encoding, signal } = task;
    let best = "";
    let bestTokens = 0;
    let room = maxTokens;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const selected = select(candidates, room);
      const text = render(selected);
      const tokens = await this.#count(text, encoding);
      throwIfAborted(signal);
      if (tokens <= maxTokens && tokens > bestTokens) [best, bestTokens] = [text, tokens];
      const isEnough = tokens >= fullEnough * maxTokens || selected === candidates.inOrder;
      if (tokens <= maxTokens && isEnough) break;
      room = tokens === 0 ? room * 2 : Math.floor((room * maxTokens * 0.97) / tokens);
    }
    return best === "" ? this.#shorten(candidates, task) : best;
  }

  /** No selection fitted: the most telling fragment alone, cut until it does. */
  async #shorten(candidates: Candidates, task: SummaryTask): Promise<string> {
    let text = candidates.inOrder[candidates.ranked[0] ?? 0]?.note ?? "";
    while (text !== "" && (await this.#count(text, task.encoding)) > task.maxTokens) {
      text = cut(text, Math.floor(text.length / 2));
    }
    return this.#whole(text, task);
  }

  /** Errors: SummariserFailedError when the text is blank or too long. */
  async #whole(text: string, { maxTokens, encoding }: SummaryTask): Promise<string> {
    if (text.trim() !== "" && (await this.#count(text, encoding)) <= maxTokens) return text;
    throw new SummariserFailedError(`${maxTokens} tokens are too few for any summary`);
  }
}

/** Fragments of the summary before and of all groups, oldest first. */
async function readAll({ groups, previousSummary, signal }: SummaryTask): Promise<Fragment[]> {
  const fragments = fragmentsOfSummary(previousSummary);
  const events = groups.reduce((sum, group) => sum + group.events.length, 0);
  const share = Math.floor(fragmentsOfAll / Math.max(events, 1));
  const most = Math.min(Math.max(share, 1), fragmentsOfEvent);
  let line = previousSummary.split("\n").length;
  let read = 0;
  for (const group of groups) {
    for (const fragment of fragmentsOf(group, { line, most })) {
      fragments.push(fragment);
      read += fragment.text.length;
    }
    line += 1;
    if (read > turnLength) {
      read = 0;
      await setImmediate();
      throwIfAborted(signal);
    }
  }
  return fragments;
}

function nothingSaid({ groups }: SummaryTask): string {
  const events = groups.reduce((sum, group) => sum + group.events.length, 0);
  return `(${events} events without text)`;
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new SummariserFailedError("it was not needed any more", signal.reason);
}

/** The first units of a text, not through a pair of surrogates. */
function cut(text: string, length: number): string {
  return text.charCodeAt(length - 1) >> 10 === 0x36
    ? text.slice(0, length - 1)
    : text.slice(0, length);
}
