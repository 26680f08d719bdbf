import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";
import type { CallKind } from "./calls.ts";

/** A call that has ended, by names of the contract. */
export interface EndedCall {
  readonly service: string;
  readonly method: string;
  readonly kind: CallKind;
  /** "ok", or the code of the error, for example "not_found". */
  readonly code: string;
  /** Of the error. */
  readonly reason: string | undefined;
  readonly seconds: number;
}

/**
 * Hears that a call begins, with its request unless that is a stream or cannot be decoded; what it
 * returns hears of the end, once, with the error if there was one.
 */
export type CallObserver = (
  method: DescMethod,
  kind: CallKind,
  request?: Message,
) => (error?: ConnectError) => void;

/** Measures calls for those who count them or write them down. */
export function observer(onEnd: (call: EndedCall, request?: Message) => void): CallObserver {
  return ({ name, parent }, kind, request) => {
    const startMs = performance.now();
    return (error) => {
      const call = {
        service: parent.name,
        method: name,
        kind,
        code: error === undefined ? "ok" : codeToString(error.code),
        reason: error?.findDetails(ErrorInfoSchema)[0]?.reason,
        seconds: (performance.now() - startMs) / 1_000,
      };
      onEnd(call, request);
    };
  };
}
