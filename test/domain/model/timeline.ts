import type { ModelEvent } from "./log.ts";

/** A tool call without a final result, and when it was last heard of. */
export interface OpenCall {
  readonly callId: string;
  readonly atMs: number;
  /** First revision of its group. */
  readonly group: number;
}

/** The group that began last, as far as it says what may still join it. */
interface Newest {
  readonly first: number;
  readonly isComplete: boolean;
  /** It has a text or a call. */
  readonly hasSpoken: boolean;
}

/** What the next event depends on. A rewind goes back to that of an earlier revision. */
export interface Moment {
  readonly turn: number;
  readonly newest: Newest | undefined;
  readonly open: readonly OpenCall[];
  /** Calls that were open when they were hidden. */
  readonly lost: readonly string[];
  /** Revisions that are visible, rising. */
  readonly visible: readonly number[];
  /** Group of the event that led here; 0: it is in none. */
  readonly group: number;
  /** User messages that are visible. */
  readonly turns: number;
}

const beginning: Moment = {
  ...{ turn: 0, turns: 0, newest: undefined, open: [], lost: [], visible: [], group: 0 },
};

/** The moments of a log: before its first event, and behind each. */
export function momentsOf(log: readonly ModelEvent[]): readonly [Moment, ...Moment[]] {
  const moments: [Moment, ...Moment[]] = [beginning];
  for (const event of log) {
    const before = moments.at(-1) ?? beginning;
    const revision = moments.length;
    const from =
      event.kind === "rewind" ? rewound(before, moments[event.rewindTo] ?? before) : before;
    moments.push({ ...after(from, event, revision), visible: [...from.visible, revision] });
  }
  return moments;
}

function rewound(before: Moment, target: Moment): Moment {
  const isBack = ({ group }: OpenCall) => target.visible.includes(group);
  const hidden = before.open.filter((call) => !isBack(call)).map(({ callId }) => callId);
  const known = target.open.map(({ callId }) => callId);
  const lost = [...target.lost, ...before.lost, ...hidden].filter((id) => !known.includes(id));
  return { ...target, lost };
}

function after(before: Moment, event: ModelEvent, revision: number): Moment {
  const { kind, isAssistant, callId, isFinal, atMs } = event;
  const alone = { first: revision, isComplete: true, hasSpoken: true };
  const free = before.newest?.isComplete === false ? before.newest : undefined;
  const own = { first: revision, isComplete: false, hasSpoken: false };
  const silent = free?.hasSpoken === false ? free : own;
  const none = { ...before, group: 0 };
  switch (kind) {
    case "message": {
      if (isAssistant) {
        return { ...before, newest: { ...silent, hasSpoken: true }, group: silent.first };
      }
      const turn = before.turns > 0 ? before.turn + 1 : before.turn;
      return { ...before, turn, turns: before.turns + 1, newest: alone, group: revision };
    }
    case "output":
      return { ...before, newest: alone, group: revision };
    case "thinking":
      return { ...before, newest: silent, group: silent.first };
    case "toolCall": {
      const group = free ?? own;
      const open = [...before.open, { callId, atMs, group: group.first }];
      const lost = before.lost.filter((id) => id !== callId);
      return { ...before, open, lost, newest: { ...group, hasSpoken: true }, group: group.first };
    }
    case "toolResult": {
      const call = before.open.find((one) => one.callId === callId);
      if (call === undefined) return none;
      const others = before.open.filter((one) => one !== call);
      const heard = before.open.map((one) => (one === call ? { ...one, atMs } : one));
      const isNewest = before.newest?.first === call.group;
      const newest = before.newest && { ...before.newest, isComplete: true };
      return {
        ...before,
        open: isFinal ? others : heard,
        newest: isNewest ? newest : before.newest,
        group: call.group,
      };
    }
    default:
      return none;
  }
}

/**
 * The newest revision at or before another where no group goes on behind it, and where a rewind is not
 * all that would stay visible.
 */
export function cutOf(log: readonly ModelEvent[], revision: number): number {
  const moments = momentsOf(log);
  for (let at = revision; ; ) {
    if (at === log.length) return at;
    const moment = moments[at] ?? beginning;
    const growing = moment.newest?.isComplete === false ? [moment.newest.first] : [];
    const open = [...moment.open.map(({ group }) => group), ...growing];
    const groups = moments.slice(at + 1).map(({ group }) => group);
    const cut = Math.min(...groups.filter((group) => open.includes(group)));
    const here = log[at - 1];
    if (Number.isFinite(cut)) at = cut - 1;
    else if (here?.kind === "rewind") at = here.rewindTo;
    else return at;
  }
}

/** The revision in front of the newest visible groups. */
export function beforeGroups(log: readonly ModelEvent[], count: number): number {
  const moments = momentsOf(log);
  const { visible } = moments.at(-1) ?? beginning;
  const firsts = visible.filter((revision) => moments[revision]?.group === revision);
  const first = firsts.slice(-count)[0];
  return first === undefined ? log.length : first - 1;
}

/** The arguments that a call has by now. Undefined: it is no call, or hidden. */
export function argumentsOf(log: readonly ModelEvent[], call: number): string | undefined {
  const { visible } = momentsOf(log).at(-1) ?? beginning;
  if (!visible.includes(call) || log[call - 1]?.kind !== "toolCall") return undefined;
  const said = visible.flatMap((revision) => log[revision - 1] ?? []);
  const newest = said.findLast(({ kind, amends }) => kind === "amendment" && amends === call);
  return (newest ?? log[call - 1])?.text;
}
