import type { DescService } from "@bufbuild/protobuf";
import { LateService } from "./late-service.ts";

/**
 * Server reflection (v1 and v1alpha), so that generic clients work without proto files. Its library
 * is loaded at the first call.
 */
export function reflection(services: readonly DescService[]): LateService {
  return new LateService({
    calls: {
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": "bidi",
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "bidi",
    },
    load: async (adder) => {
      const { addReflection } = await import("./reflection-library.ts");
      addReflection(adder, services);
    },
  });
}
