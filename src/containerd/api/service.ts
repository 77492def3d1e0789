import type { MethodDefinition } from "@grpc/grpc-js";
import type { MessageCodec } from "./protobuf.ts";

/** A call of a service: usable by a client and by a server of grpc-js. */
export interface Method<Request, Response> extends MethodDefinition<Request, Response> {
  readonly request: MessageCodec<Request>;
  readonly response: MessageCodec<Response>;
}

/** Which sides of a call send several messages. */
type Streaming = "none" | "response" | "both";

/** A call by its service's full name and its own. */
export function method<Request, Response>(
  service: string,
  name: string,
  {
    request,
    response,
    streaming = "none",
  }: {
    readonly request: MessageCodec<Request>;
    readonly response: MessageCodec<Response>;
    readonly streaming?: Streaming;
  },
): Method<Request, Response> {
  return {
    request,
    response,
    path: `/${service}/${name}`,
    originalName: name,
    requestStream: streaming === "both",
    responseStream: streaming !== "none",
    requestSerialize: (value) => asBuffer(request.encode(value)),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (value) => asBuffer(response.encode(value)),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
