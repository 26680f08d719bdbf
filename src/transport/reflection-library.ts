import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import { file_google_rpc_error_details, file_google_rpc_status } from "@sessiond/contract/rpc";
import type { ServiceAdder } from "./late-service.ts";

/** Files that no service imports: generic clients need them to show the details of errors. */
const errorFiles = [file_google_rpc_status, file_google_rpc_error_details];

/** Adds server reflection (v1 and v1alpha) for these services and for the details of errors. */
export function addReflection(adder: ServiceAdder, services: readonly DescService[]): void {
  const files = new Set<DescFile>();
  for (const file of [...services.map((service) => service.file), ...errorFiles]) {
    collect(file, files);
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
  }).addToServer(adder);
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
