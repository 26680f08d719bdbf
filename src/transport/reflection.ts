import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";

/** Adds server reflection (v1 and v1alpha), so that generic clients work without proto files. */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Set<DescFile>();
  for (const service of services) {
    collect(service.file, files);
  }
  // The library reads nothing of a package definition but its file descriptors.
  const definition = {
    files: {
      format: "Protocol Buffer 3 EnumDescriptorProto" as const,
      type: {},
      fileDescriptorProtos: [...files].map((file) =>
        Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
      ),
    },
  };
  new ReflectionService(definition, {
    services: services.map((service) => service.typeName),
  }).addToServer(server);
}

/** Imports before importers, each once. */
function collect(file: DescFile, into: Set<DescFile>): void {
  if (into.has(file)) {
    return;
  }
  for (const imported of file.dependencies) {
    collect(imported, into);
  }
  into.add(file);
}
