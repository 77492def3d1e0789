import {
  Client,
  credentials,
  connectivityState,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceError,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  CRI_IMAGE_METHODS,
  CRI_IMAGE_SERVICES,
  criImagePath,
  PULL_IMAGE_REQUEST,
  PULL_IMAGE_RESPONSE,
  REMOVE_IMAGE_REQUEST,
} from "../containerd/api/cri-images.ts";
import type { MessageCodec } from "../containerd/api/protobuf.ts";
import { isKind } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Keychain } from "../oci/credentials.ts";
import { CriLogins } from "./cri-logins.ts";
import type { GrpcService } from "./grpc-listener.ts";

export interface CriImageProxyOptions {
  /** The socket of the image service behind: a path, or `unix://PATH`. It may come later. */
  readonly address: string;
  readonly log: Logger;
}

export interface CriImageProxy extends AsyncDisposable {
  /** `runtime.v1.ImageService`, and `v1alpha2`. */
  readonly services: readonly GrpcService[];
  /** The logins that have come by. */
  readonly keychain: Keychain;
}

type Call = ServerUnaryCall<Buffer, Buffer>;
type Service = (typeof CRI_IMAGE_SERVICES)[number];
type Method = (typeof CRI_IMAGE_METHODS)[number];

const MAX_MESSAGE_BYTES = 16 << 20;
const CONNECT_MS = 2000;
const RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1000;

const asIs = (bytes: Buffer): Buffer => bytes;

/**
 * CRI's image service, passed on as it comes: kubelet pulls by our socket, and the logins that come
 * with its pulls are kept for reading the images lazily. They are never written anywhere.
 */
export function criImageProxy({ address, log }: CriImageProxyOptions): CriImageProxy {
  const path = address.replace(/^unix:(?:\/\/)?/, "");
  const backend = new Client(`unix:${path}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.initial_reconnect_backoff_ms": RECONNECT_MS,
    "grpc.max_reconnect_backoff_ms": MAX_RECONNECT_MS,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
  });
  const logins = new CriLogins();
  const forwarder = new Forwarder({ backend, logins, log });
  return {
    services: CRI_IMAGE_SERVICES.map((service) => ({
      definition: definitionOf(service),
      implementation: forwarder.implementationOf(service),
    })),
    keychain: logins.keychain,
    [Symbol.asyncDispose]: async () => {
      logins.clear();
      backend.close();
    },
  };
}

function definitionOf(service: Service): ServiceDefinition {
  return Object.fromEntries(
    CRI_IMAGE_METHODS.map((name) => [
      name,
      {
        path: criImagePath(service, name),
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    ]),
  );
}

/** Passes calls on, and looks at some of them. */
class Forwarder {
  readonly #backend: Client;
  readonly #logins: CriLogins;
  readonly #log: Logger;

  constructor(parts: {
    readonly backend: Client;
    readonly logins: CriLogins;
    readonly log: Logger;
  }) {
    this.#backend = parts.backend;
    this.#logins = parts.logins;
    this.#log = parts.log;
  }

  implementationOf(service: Service): UntypedServiceImplementation {
    return Object.fromEntries(
      CRI_IMAGE_METHODS.map((name) => [
        name,
        (call: Call, callback: sendUnaryData<Buffer>) =>
          this.#handle(service, name, call, callback),
      ]),
    );
  }

  #handle(service: Service, name: Method, call: Call, callback: sendUnaryData<Buffer>): void {
    if (name === "PullImage") this.#keepLogin(call.request);
    this.#whenConnected(call, (failure) => {
      if (failure !== undefined) {
        callback(failure, null);
        return;
      }
      const { metadata } = call;
      const options = { deadline: call.getDeadline() };
      const path = criImagePath(service, name);
      const answered = (error: ServiceError | null, answer: Buffer | undefined): void => {
        if (error === null) this.#lookAt(name, call.request, answer ?? Buffer.alloc(0));
        callback(error, answer);
      };
      const sent = this.#backend.makeUnaryRequest(
        path,
        asIs,
        asIs,
        call.request,
        metadata,
        options,
        answered,
      );
      call.on("cancelled", () => sent.cancel());
    });
  }

  /** Waits for a connection, where there is none, for no longer than it takes a service that is there. */
  #whenConnected(call: Call, next: (failure: Partial<ServiceError> | undefined) => void): void {
    if (this.#backend.getChannel().getConnectivityState(true) === connectivityState.READY) {
      next(undefined);
      return;
    }
    const deadline = Math.min(Date.now() + CONNECT_MS, Number(call.getDeadline()));
    this.#backend.waitForReady(deadline, (error) => {
      if (call.cancelled) return;
      // The Go snapshotter's words.
      const details = "server is not initialized yet";
      next(error === undefined ? undefined : { code: status.UNAVAILABLE, details });
    });
  }

  #keepLogin(request: Buffer): void {
    const { image, auth } = this.#decode(PULL_IMAGE_REQUEST, request) ?? {};
    if (image === undefined || auth === undefined) return;
    if (this.#logins.put(image.image, auth)) {
      this.#log.debug("a login came with a pull", { image: image.image });
    }
  }

  #lookAt(name: Method, request: Buffer, answer: Buffer): void {
    if (name === "PullImage") {
      const image = this.#decode(PULL_IMAGE_REQUEST, request)?.image?.image ?? "";
      this.#logins.nameId(image, this.#decode(PULL_IMAGE_RESPONSE, answer)?.imageRef ?? "");
    }
    if (name === "RemoveImage") {
      this.#logins.remove(this.#decode(REMOVE_IMAGE_REQUEST, request)?.image?.image ?? "");
    }
  }

  /** What cannot be read is passed on all the same: the service says what is wrong with it. */
  #decode<T>(codec: MessageCodec<T>, bytes: Buffer): T | undefined {
    try {
      return codec.decode(bytes);
    } catch (error) {
      if (!isKind(error, "data-loss")) throw error;
      this.#log.debug("message of the image service cannot be read", { message: codec.name });
      return undefined;
    }
  }
}
