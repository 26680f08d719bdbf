import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Role } from "@sessiond/contract";
import fc from "fast-check";
import type { EventInit } from "../../../support/conversations.ts";
import { type Call, type Media, type Move, move } from "./moves.ts";

/** One append of a generated log, and how long after the one before it comes. */
export interface Append {
  readonly passMs: number;
  readonly events: readonly EventInit[];
}

/** Longer than calls may stay without a result. */
const leaseMs = 2 * 60 * 60 * 1_000;

/**
 * Logs of agents: parallel, interleaved, aborted, duplicated, approval-gated and dead calls, late
 * results, several agents, odd names and texts. They are taken by appends, whatever they mean.
 */
export function logs(args: { minLength?: number; maxLength: number }): fc.Arbitrary<Append[]> {
  return fc.array(move, { ...args, size: "max" }).map((moves) => new Scribe().write(moves));
}

/** Turns moves into events, knowing which calls are there to be answered. */
class Scribe {
  readonly #open: Call[] = [];
  readonly #closed: Call[] = [];
  readonly #approvals: string[] = [];

  write(moves: readonly Move[]): Append[] {
    const appends: Append[] = [];
    let passMs = 0;
    for (const next of moves) {
      if (next.kind === "wait") passMs += leaseMs;
      const events = this.#events(next);
      if (events.length === 0) continue;
      appends.push({ passMs: passMs + 1_000, events });
      passMs = 0;
    }
    return appends;
  }

  #events(next: Move): EventInit[] {
    switch (next.kind) {
      case "user":
        return [message(Role.USER, next.text, { parts: next.parts })];
      case "protected":
        return [message(Role.USER, next.text, { kind: next.as })];
      case "system":
        return [message(Role.SYSTEM, next.text)];
      case "say":
        return [message(Role.ASSISTANT, next.text, { author: next.agent })];
      case "think": {
        const value = { text: next.text, signature: next.sign };
        return [{ author: next.agent, payload: { case: "thinking", value } }];
      }
      case "call":
        return next.calls.map((call) => this.#call(call, next.agent));
      case "again": {
        const known = [...this.#open, ...this.#closed];
        const { id } = at(known, next.pick) ?? next.call;
        return [this.#call({ ...next.call, id }, next.agent)];
      }
      case "result": {
        const call = this.#close(next.pick);
        const { text: content, isError, parts } = next.result;
        const value = { content, isError, parts: parts.map(partOf) };
        return call === undefined ? [] : [result(call.id, value)];
      }
      case "results":
        return this.#open.splice(0).map(({ id }) => result(id, { content: `found ${id}` }));
      case "progress": {
        const call = at(this.#open, next.pick);
        return call ? [result(call.id, { content: next.text, isFinal: false })] : [];
      }
      case "second": {
        const call = at(this.#closed, next.pick);
        return call ? [result(call.id, { content: next.text })] : [];
      }
      case "orphan":
        return [result(next.id, { content: next.text })];
      case "ask": {
        const call = at(this.#open, next.pick);
        if (call === undefined) return [];
        const approvalId = `approval-${this.#approvals.push(call.id)}`;
        const value = { approvalId, callId: call.id, prompt: next.prompt };
        return [{ payload: { case: "approvalRequest", value } }];
      }
      case "approve": {
        if (this.#approvals.length === 0) return [];
        const approvalId = `approval-${1 + (next.pick % this.#approvals.length)}`;
        const value = { approvalId, approved: next.approved, reason: "as the user said" };
        return [{ payload: { case: "approvalResponse", value } }];
      }
      case "handoff":
        return [
          { payload: { case: "handoff", value: { from: "planner", to: next.agent || "you" } } },
        ];
      case "output":
        return [{ author: next.agent, payload: { case: "output", value: { text: next.text } } }];
      case "note": {
        const value = create(ValueSchema, { kind: { case: "stringValue", value: "noted" } });
        return [{ kind: next.as, payload: { case: "custom", value: { type: "note", value } } }];
      }
      case "wait":
        return [];
    }
  }

  #call(call: Call, author: string): EventInit {
    this.#open.push(call);
    const value = { callId: call.id, name: call.name, arguments: call.arguments };
    return { author, payload: { case: "toolCall", value } };
  }

  #close(pick: number): Call | undefined {
    if (this.#open.length === 0) return undefined;
    const [call] = this.#open.splice(pick % this.#open.length, 1);
    if (call !== undefined) this.#closed.push(call);
    return call;
  }
}

function message(
  role: Role,
  text: string,
  over: { kind?: string; author?: string; parts?: readonly Media[] } = {},
): EventInit {
  const { parts = [], ...fields } = over;
  return {
    role,
    ...fields,
    payload: { case: "message", value: { text, parts: parts.map(partOf) } },
  };
}

type ResultInit = Extract<NonNullable<EventInit["payload"]>, { case: "toolResult" }>["value"];

function result(callId: string, value: Omit<ResultInit, "$typeName">): EventInit {
  return { payload: { case: "toolResult", value: { ...value, callId } } };
}

function partOf({ kind, uri, mediaType }: Media) {
  if (kind === "text") return { content: { case: "text", value: uri } } as const;
  return { content: { case: kind, value: { uri, mediaType } } } as const;
}

function at<T>(list: readonly T[], pick: number): T | undefined {
  return list.length === 0 ? undefined : list[pick % list.length];
}
