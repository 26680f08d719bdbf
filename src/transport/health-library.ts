// Apart from health.ts, which is there before the library is.
export { HealthImplementation } from "grpc-health-check";
