import { bytesClient } from "./bytes.ts";
import { connectNodeClient, sdkTransportClient } from "./connect.ts";
import { grpcJsClient } from "./grpc-js.ts";
import type { MeasuredClient } from "./measured-client.ts";
import { sdkClient } from "./sdk.ts";

/** The clients under measurement, by the name they have in a report. */
export const clients = {
  "grpc-js, bytes left as they are": bytesClient,
  "grpc-js": grpcJsClient,
  "the SDK's transport alone": sdkTransportClient,
  SDK: sdkClient,
  "connect-node": connectNodeClient,
} satisfies Record<string, (address: string) => MeasuredClient>;

export type ClientName = keyof typeof clients;
