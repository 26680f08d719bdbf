import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { type TraceContext, TraceContextSchema } from "@sessiond/contract";
import { parseTraceparent, parseTracestate } from "../domain/trace-context.ts";
import { GrpcContext } from "./grpc-context.ts";

/** What an event holds of the headers. */
const maxTraceparentLength = 255;
const maxTracestateLength = 512;

/**
 * Trace context that a call came with, by its headers `traceparent` and `tracestate`. Undefined: with
 * none. As the standard has it, a malformed `traceparent` is ignored with its `tracestate`, and a
 * malformed `tracestate` alone.
 */
export function traceOf(context: HandlerContext): TraceContext | undefined {
  const traceparent = headerOf(context, "traceparent");
  if (traceparent === undefined || traceparent.length > maxTraceparentLength) return undefined;
  if (parseTraceparent(traceparent) === undefined) return undefined;
  const tracestate = parseTracestate(headerOf(context, "tracestate") ?? "") ?? "";
  // One that is too long goes as a whole: members cut out of the middle would look complete.
  const fits = tracestate.length <= maxTracestateLength;
  return create(TraceContextSchema, { traceparent, tracestate: fits ? tracestate : "" });
}

function headerOf(context: HandlerContext, name: string): string | undefined {
  // A gRPC call makes its headers when they are asked for, which costs more than to look at one.
  if (context instanceof GrpcContext) return context.header(name);
  return context.requestHeader.get(name) ?? undefined;
}
