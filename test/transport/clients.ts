import type { DescService } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";

export type ProtocolName = "gRPC" | "Connect" | "Connect with JSON" | "gRPC-Web";

/** A foreign client: connect-es, not the SDK. */
export function clientOf<Service extends DescService>(
  service: Service,
  protocol: ProtocolName,
  port: number,
): Client<Service> {
  const baseUrl = `http://127.0.0.1:${port}`;
  switch (protocol) {
    case "gRPC":
      return createClient(service, createGrpcTransport({ baseUrl }));
    case "Connect":
      return createClient(service, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
    case "Connect with JSON":
      return createClient(
        service,
        createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
      );
    case "gRPC-Web":
      return createClient(service, createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }));
  }
}

/** What a failed call says: code, reason and values. */
export async function failureOf(call: Promise<unknown>) {
  try {
    await call;
  } catch (reason) {
    const error = ConnectError.from(reason);
    const info = error.findDetails(ErrorInfoSchema)[0];
    return { error, code: error.code, reason: info?.reason, metadata: info?.metadata };
  }
  throw new Error("the call did not fail");
}
