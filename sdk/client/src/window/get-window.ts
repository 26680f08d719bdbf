import type { Dialect } from "@sessiond/contract";
import { type CallOptions, toConnectOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import type { RequestPart } from "../dialects/request-part.ts";
import { type DialectWord, dialects } from "../words.ts";
import { meaningOf, wholeNumber } from "./checks.ts";
import { type ContextWindow, toContextWindow } from "./context-window.ts";
import { type ContextPolicyInput, toPolicyInit } from "./policy-input.ts";

/** What a window shows, and how much of it. */
export interface MessagesOptions extends CallOptions {
  /** Tokens it may have, at least 1. Default: the session's policy, and 8,000 without one. */
  readonly budget?: number | undefined;
  /** Tokens of the budget kept free for the model's answer. Default: the session's policy. */
  readonly reservedOutput?: number | undefined;
  /** Model it is for; chooses the encoding. Default: the session's. */
  readonly model?: string | undefined;
  /** Encoding to count in, for example "o200k_base". Default: the model's. */
  readonly encoding?: string | undefined;
  /**
   * Words to choose older events by. Default: the newest are kept. The window's beginning then
   * changes with every query, so that providers cache less of it.
   */
  readonly query?: string | undefined;
  /** Use the newest user message as `query`. Default false. */
  readonly retrieve?: boolean | undefined;
  /** Only events of these authors, beside instructions and users' messages. Default: all. */
  readonly authors?: readonly string[] | undefined;
  /**
   * Agent the window is for: what other agents said is labelled with their names. Default: what
   * any agent said is shown as the model's own.
   */
  readonly agent?: string | undefined;
  /** Replaces fields of the session's policy for this window. Its rules are added. */
  readonly policy?: ContextPolicyInput | undefined;
}

/** What a window shows, and what to say about it. */
export interface WindowOptions<D extends DialectWord | undefined = undefined>
  extends MessagesOptions {
  /** Render the window for this provider as well. Default: items only. */
  readonly dialect?: D;
  /** Say for every group what became of it and why. Default false. */
  readonly explain?: boolean | undefined;
  /** `prefixHash` of the window before, to learn whether and why the prefix changed. */
  readonly knownPrefixHash?: string | undefined;
}

/** Builds a window. `Session.contextWindow` documents it. */
export async function getContextWindow<D extends DialectWord | undefined>(
  context: ClientContext,
  sessionId: string,
  options: WindowOptions<D>,
): Promise<ContextWindow<D>> {
  const { budget, reservedOutput, policy, dialect, authors = [] } = options;
  const request = {
    namespace: context.namespace,
    sessionId,
    model: options.model ?? "",
    encoding: options.encoding ?? "",
    query: options.query ?? "",
    retrieve: options.retrieve ?? false,
    authors: [...authors],
    agent: options.agent ?? "",
    explain: options.explain ?? false,
    knownPrefixHash: options.knownPrefixHash ?? "",
    ...(budget === undefined ? {} : { tokenBudget: wholeNumber("budget", budget) }),
    ...(reservedOutput === undefined
      ? {}
      : { reservedOutputTokens: wholeNumber("reservedOutput", reservedOutput) }),
    ...(policy === undefined ? {} : { policy: toPolicyInit(policy) }),
    ...(dialect === undefined
      ? {}
      : {
          dialect: meaningOf<DialectWord, Dialect>("dialect", { words: dialects, word: dialect }),
        }),
  };
  const call = context.clients.context.getContextWindow(request, toConnectOptions(options));
  return toContextWindow<D>(await translated(call, { sessionId }));
}

/** Builds a window and gives its request part. `Session.messages` documents it. */
export async function getMessages<D extends DialectWord>(
  context: ClientContext,
  { sessionId, dialect }: { sessionId: string; dialect: D },
  options: MessagesOptions,
): Promise<RequestPart<D>> {
  return (await getContextWindow<D>(context, sessionId, { ...options, dialect })).rendered;
}
