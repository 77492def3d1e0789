import { Client, credentials } from "@grpc/grpc-js";
import {
  type CRI_IMAGE_SERVICES,
  type CriAuthConfig,
  criImagePath,
  PULL_IMAGE_REQUEST,
  PULL_IMAGE_RESPONSE,
  REMOVE_IMAGE_REQUEST,
} from "../../src/containerd/api/cri-images.ts";

export interface CriPullOptions {
  /** The login that kubelet has from the pod's secrets. */
  readonly auth?: Partial<CriAuthConfig>;
}

export interface CriClientOptions {
  readonly service?: (typeof CRI_IMAGE_SERVICES)[number];
}

/** Speaks to containerd's, or a proxy's, image service as kubelet does. */
export class CriClient implements Disposable {
  readonly #client: Client;
  readonly #service: (typeof CRI_IMAGE_SERVICES)[number];

  constructor(socket: string, { service = "runtime.v1.ImageService" }: CriClientOptions = {}) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure());
    this.#service = service;
  }

  /** Resolves to the image's id. @throws grpc-js's ServiceError */
  async pullImage(image: string, { auth }: CriPullOptions = {}): Promise<string> {
    const request = PULL_IMAGE_REQUEST.encode({
      image: { image, annotations: {}, userSpecifiedImage: "" },
      ...(auth === undefined ? {} : { auth: { ...NO_AUTH, ...auth } }),
    });
    return PULL_IMAGE_RESPONSE.decode(await this.#call("PullImage", request)).imageRef;
  }

  async removeImage(image: string): Promise<void> {
    const spec = { image, annotations: {}, userSpecifiedImage: "" };
    await this.#call("RemoveImage", REMOVE_IMAGE_REQUEST.encode({ image: spec }));
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #call(method: "PullImage" | "RemoveImage", request: Uint8Array): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#client.makeUnaryRequest(
      criImagePath(this.#service, method),
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes: Buffer) => new Uint8Array(bytes),
      request,
      (error, answer) => {
        if (error !== null) reject(error);
        else resolve(answer ?? new Uint8Array(0));
      },
    );
    return await promise;
  }
}

const NO_AUTH: CriAuthConfig = {
  username: "",
  password: "",
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};
