import { type ChannelOptions, Client, credentials } from "@grpc/grpc-js";

const MiB = 1024 * 1024;

/**
 * How this client uses a grpc-js channel.
 *
 * Reconnecting: by default the wait after a refused connection grows to two minutes, in which
 * every call fails at once although the server may be back; a sidecar is back within a second.
 */
const channelOptions: ChannelOptions = {
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 500,
  // One client's refused connections must not make another wait.
  "grpc.use_local_subchannel_pool": 1,
  // A batch is never split, and an appended request of 4 MiB comes back with the server's fields.
  "grpc.max_receive_message_length": 16 * MiB,
  // A watch may be quiet for long; pings find a peer that vanished without closing.
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // A sidecar is not reached through the proxy that the environment names for the internet.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.primary_user_agent": "sessiond-client",
};

/** Makes a channel; it connects with the first call. */
export function createChannel(address: string, overrides: ChannelOptions = {}): Client {
  return new Client(address, credentials.createInsecure(), { ...channelOptions, ...overrides });
}
