import {
  type Event,
  Role,
  type ToolCall,
  type ToolResult,
  type WindowItem,
} from "@sessiond/contract";
import { textOf } from "./pieces.ts";

/** A tool call and what answers it. */
export interface Call {
  readonly event: Event;
  readonly call: ToolCall;
  /** Undefined only where a list breaks its promise that every call has a result. */
  result: ToolResult | undefined;
}

/** What one model response said and called, with the results of its calls. */
export interface Response {
  readonly kind: "response";
  /** Agent that it comes from; empty if nobody said. */
  readonly author: string;
  readonly thinking: Event[];
  readonly said: Event[];
  readonly calls: Call[];
}

/** A piece of a conversation that every provider knows, each under its own name. */
export type Step =
  | { readonly kind: "system"; readonly event: Event }
  | { readonly kind: "user"; readonly event: Event }
  | Response;

/**
 * Reads the items of a window as steps, in order.
 *
 * A response ends with its group, at the latest after its results, which stand behind all of its
 * calls and in their order. Approvals, errors, progress of a call and records have no place in a
 * provider's request and are left out.
 */
export function stepsOf(items: readonly WindowItem[]): Step[] {
  const steps: Step[] = [];
  let response: Response | undefined;
  let group = 0;
  let answered = 0;

  const respond = (event: Event): Response => {
    if (response === undefined || answered > 0 || event.group !== group) {
      response = { kind: "response", author: event.author, thinking: [], said: [], calls: [] };
      steps.push(response);
      group = event.group;
      answered = 0;
    }
    return response;
  };
  const tell = (event: Event, kind: "system" | "user"): void => {
    response = undefined;
    steps.push({ kind, event });
  };
  const answer = (result: ToolResult): void => {
    if (result.isFinal === false) return;
    const call = response?.calls[answered];
    if (call === undefined) return;
    call.result = result;
    answered += 1;
  };

  for (const { event } of items) {
    if (event === undefined) continue;
    const { payload } = event;
    switch (payload.case) {
      case "message":
        if (event.role === Role.ASSISTANT) respond(event).said.push(event);
        else tell(event, event.role === Role.SYSTEM ? "system" : "user");
        break;
      case "custom":
        tell(event, "user");
        break;
      case "output":
        respond(event).said.push(event);
        break;
      case "thinking":
        respond(event).thinking.push(event);
        break;
      case "toolCall":
        respond(event).calls.push({ event, call: payload.value, result: undefined });
        break;
      case "toolResult":
        answer(payload.value);
        break;
    }
  }
  return steps;
}

/**
 * The steps of a window for providers that take instructions beside the conversation: the texts of
 * the system messages it begins with, and the steps after them.
 */
export function conversationOf(items: readonly WindowItem[]): {
  instructions: string[];
  steps: Step[];
} {
  const steps = stepsOf(items);
  const instructions: string[] = [];
  for (const step of steps) {
    if (step.kind !== "system") break;
    instructions.push(textOf(step.event));
  }
  return { instructions, steps: steps.slice(instructions.length) };
}
