import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import {
  Client,
  credentials,
  Metadata,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import {
  CRI_IMAGE_METHODS,
  CRI_IMAGE_SERVICES,
  type CriAuthConfig,
  criImagePath,
  PULL_IMAGE_REQUEST,
  PULL_IMAGE_RESPONSE,
  REMOVE_IMAGE_REQUEST,
} from "../../src/containerd/api/cri-images.ts";
import { type CriImageProxy, criImageProxy } from "../../src/daemon/cri-image-proxy.ts";
import { GrpcListener } from "../../src/daemon/grpc-listener.ts";
import { parseSocketAddress } from "../../src/daemon/socket-address.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { holdsSecret, MARK, spy } from "../support/secret-spy.ts";
import { rejectionOf } from "../support/failure.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

type Service = (typeof CRI_IMAGE_SERVICES)[number];
type Method = (typeof CRI_IMAGE_METHODS)[number];

interface Seen {
  readonly path: string;
  readonly bytes: Buffer;
  readonly metadata: Metadata;
}

const asIs = (bytes: Buffer): Buffer => bytes;
const AUTH: CriAuthConfig = {
  username: "user",
  password: `password-${MARK}`,
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};
const LOGIN = { username: AUTH.username, password: AUTH.password };

/** An image service that keeps what it is asked and answers with `answer`. */
async function startBackend(
  path: string,
  answer: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => void,
) {
  const seen: Seen[] = [];
  const services = CRI_IMAGE_SERVICES.map((service) => ({
    definition: Object.fromEntries(
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
    ),
    implementation: Object.fromEntries(
      CRI_IMAGE_METHODS.map((name) => [
        name,
        (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
          const { request, metadata } = call;
          seen.push({ path: criImagePath(service, name), bytes: request, metadata });
          answer(call, done);
        },
      ]),
    ),
  }));
  const listener = await listen(path, services);
  return { seen, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

function listen(path: string, services: CriImageProxy["services"]): Promise<GrpcListener> {
  return GrpcListener.listen({
    address: parseSocketAddress(path),
    fallbackPath: "/nonexistent/fallback.sock",
    services,
    env: {},
    log: NO_LOG,
  });
}

interface Stage extends AsyncDisposable {
  readonly keychain: CriImageProxy["keychain"];
  call(service: Service, method: Method, request: Uint8Array, metadata?: Metadata): Promise<Buffer>;
}

/** The proxy on a socket of its own, and a client of it. */
async function startProxy(dir: TempDir, log = NO_LOG): Promise<Stage> {
  const proxy = criImageProxy({ address: `unix://${dir.join("cri.sock")}`, log });
  const path = dir.join("proxy.sock");
  const listener = await listen(path, proxy.services);
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  return {
    keychain: proxy.keychain,
    call: (service, method, request, metadata = new Metadata()) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          criImagePath(service, method),
          asIs,
          asIs,
          Buffer.from(request),
          metadata,
          (error: ServiceError | null, answer?: Buffer) =>
            error === null ? resolve(answer ?? Buffer.alloc(0)) : reject(error),
        );
      }),
    [Symbol.asyncDispose]: async () => {
      client.close();
      await listener[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function pullOf(image: string, auth: Partial<CriAuthConfig> | undefined = AUTH): Uint8Array {
  return PULL_IMAGE_REQUEST.encode({
    image: { image, annotations: {}, userSpecifiedImage: "" },
    auth: auth === undefined ? undefined : { ...AUTH, username: "", password: "", ...auth },
  });
}

const [V1, V1ALPHA2] = CRI_IMAGE_SERVICES;
const NGINX = { image: "docker.io/library/nginx:latest", repository: "library/nginx" };

describe("criImageProxy()", () => {
  test("passes every method of both services on, byte for byte", async () => {
    await using dir = await tempDir();
    await using backend = await startBackend(dir.join("cri.sock"), (call, done) =>
      done(null, Buffer.concat([call.request, Buffer.from([9])])),
    );
    await using proxy = await startProxy(dir);
    const request = Buffer.from("\xfe\x00 no protobuf at all", "latin1");
    const metadata = new Metadata();
    metadata.set("x-test", "value");
    for (const service of CRI_IMAGE_SERVICES) {
      for (const method of CRI_IMAGE_METHODS) {
        const answer = await proxy.call(service, method, request, metadata);
        expect(answer).toEqual(Buffer.concat([request, Buffer.from([9])]));
      }
    }
    expect(backend.seen.map(({ path }) => path)).toEqual(
      CRI_IMAGE_SERVICES.flatMap((service) =>
        CRI_IMAGE_METHODS.map((method) => criImagePath(service, method)),
      ),
    );
    expect(backend.seen.every(({ bytes }) => bytes.equals(request))).toBe(true);
    expect(backend.seen.map((one) => one.metadata.get("x-test")[0])).toEqual(
      Array.from(backend.seen, () => "value"),
    );
  });

  test("passes failures on", async () => {
    await using dir = await tempDir();
    await using _backend = await startBackend(dir.join("cri.sock"), (_call, done) =>
      done({ code: status.NOT_FOUND, details: "no such image" }, null),
    );
    await using proxy = await startProxy(dir);
    const error = await rejectionOf(proxy.call(V1, "ImageStatus", Buffer.alloc(0)));
    expect(error).toMatchObject({ code: status.NOT_FOUND, details: "no such image" });
  });

  test("is unavailable until the service behind is there, and again when it is gone", async () => {
    await using dir = await tempDir();
    await using proxy = await startProxy(dir);
    const gone = {
      code: status.UNAVAILABLE,
      details: expect.stringContaining("server is not initialized yet"),
    };
    expect(await rejectionOf(proxy.call(V1, "ListImages", Buffer.alloc(0)))).toMatchObject(gone);
    {
      await using _backend = await startBackend(dir.join("cri.sock"), (_call, done) =>
        done(null, Buffer.alloc(3)),
      );
      expect((await proxy.call(V1, "ListImages", Buffer.alloc(0))).length).toBe(3);
    }
    rmSync(dir.join("cri.sock"), { force: true });
    await Bun.sleep(50);
    expect(await rejectionOf(proxy.call(V1, "ListImages", Buffer.alloc(0)))).toMatchObject(gone);
  });

  test("keeps the login of a pull before the pull goes on, until the image is removed", async () => {
    await using dir = await tempDir();
    const found: unknown[] = [];
    let look = async (): Promise<void> => undefined;
    await using _backend = await startBackend(dir.join("cri.sock"), (_call, done) => {
      void look().then(() =>
        done(null, Buffer.from(PULL_IMAGE_RESPONSE.encode({ imageRef: "sha256:abc" }))),
      );
    });
    await using proxy = await startProxy(dir);
    look = async () => void found.push(await proxy.keychain("docker.io", NGINX));
    await proxy.call(V1ALPHA2, "PullImage", pullOf("nginx", AUTH));
    expect(found).toEqual([LOGIN]);
    look = async () => undefined;
    const image = { image: "sha256:abc", annotations: {}, userSpecifiedImage: "" };
    await proxy.call(V1, "RemoveImage", REMOVE_IMAGE_REQUEST.encode({ image }));
    expect(await proxy.keychain("docker.io", NGINX)).toBeUndefined();
  });

  test("has no secret in its log", async () => {
    await using dir = await tempDir();
    const { log, texts } = spy();
    await using _backend = await startBackend(dir.join("cri.sock"), (_call, done) =>
      done({ code: status.UNKNOWN, details: "no" }, null),
    );
    await using proxy = await startProxy(dir, log);
    const whole = pullOf("nginx", AUTH);
    for (const bytes of [whole, whole.subarray(0, -3), Buffer.concat([whole, whole])]) {
      await rejectionOf(proxy.call(V1, "PullImage", bytes));
    }
    expect(texts.length).toBeGreaterThan(0);
    expect(texts.filter(holdsSecret)).toEqual([]);
  });
});
