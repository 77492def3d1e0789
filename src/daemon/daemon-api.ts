import {
  Client,
  credentials,
  type sendUnaryData,
  type ServerUnaryCall,
  status,
} from "@grpc/grpc-js";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { type Digest, isDigest, parseDigest } from "../oci/digest.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";
import type { GrpcService } from "./grpc-listener.ts";

/** What a daemon knows of one layer. */
export interface LayerReport {
  readonly digest: Digest;
  /** Snapshots that are this layer. */
  readonly snapshots: number;
  /** Compressed bytes of the spans that are local, and of all; 0 of 0 when no snapshot holds it. */
  readonly localBytes: number;
  readonly totalBytes: number;
  /** Directories that show it to containers. */
  readonly mounts: number;
  /** Why it was not served when it was last asked for; empty: it was, or nobody has asked. */
  readonly refusal: string;
}

/** An image that is about to be pulled. */
export interface AnnouncedImage {
  /** Of containerd. */
  readonly namespace: string;
  readonly imageReference: string;
  readonly manifestDigest: Digest;
}

/** What other processes on the host ask of the daemon. */
export interface DaemonCalls {
  explain(layers: readonly Digest[]): Promise<readonly LayerReport[]>;
  /** What the image takes may be looked for now. */
  announce(image: AnnouncedImage): void;
}

const MAX_BYTES = 4 << 20;
const MAX_LAYERS = 10_000;

// JSON in gRPC: both ends are one program, and a person can read it.
const asIs = (bytes: Buffer): Buffer => bytes;

function methodOf(name: string) {
  return {
    path: `/sociable.v1.Daemon/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  } as const;
}

const DEFINITION = { explain: methodOf("Explain"), announce: methodOf("Announce") };

/** The service, for the daemon's socket. */
export function daemonService(calls: DaemonCalls): GrpcService {
  return {
    definition: DEFINITION,
    implementation: {
      explain: answering(async (request) => {
        const layers = (request.optionalStrings("layers", MAX_LAYERS) ?? []).filter(isDigest);
        return { layers: await calls.explain(layers) };
      }),
      announce: answering(async (request) => {
        calls.announce({
          namespace: request.string("namespace"),
          imageReference: request.string("imageReference"),
          manifestDigest: parseDigest(request.string("manifestDigest")),
        });
        return {};
      }),
    },
  };
}

function answering(answer: (request: JsonObject) => Promise<object>) {
  return ({ request }: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
    const what = "request to the daemon";
    const answered = async () =>
      await answer(new JsonObject(parseJson(request, what, { maxBytes: MAX_BYTES }), what));
    answered().then(
      (value) => done(null, Buffer.from(JSON.stringify(value))),
      (error: unknown) => {
        const code = error instanceof SociError ? status.INVALID_ARGUMENT : status.INTERNAL;
        done({ code, details: error instanceof Error ? error.message : String(error) });
      },
    );
  };
}

/** Asks the daemon that listens at a socket. @throws unavailable when there is none */
export class DaemonClient implements Disposable {
  readonly #client: Client;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.#client = new Client(`unix:${path}`, credentials.createInsecure());
  }

  async explain(layers: readonly Digest[], options: WaitOptions = {}): Promise<LayerReport[]> {
    const answer = await this.#ask("explain", { layers }, options);
    return (answer.optionalObjects("layers", MAX_LAYERS) ?? []).map((layer) => ({
      digest: parseDigest(layer.string("digest")),
      snapshots: layer.size("snapshots"),
      localBytes: layer.size("localBytes"),
      totalBytes: layer.size("totalBytes"),
      mounts: layer.size("mounts"),
      refusal: layer.optionalString("refusal") ?? "",
    }));
  }

  async announce(image: AnnouncedImage, options: WaitOptions = {}): Promise<void> {
    await this.#ask("announce", image, options);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #ask(
    method: keyof typeof DEFINITION,
    question: object,
    { signal }: WaitOptions,
  ): Promise<JsonObject> {
    signal?.throwIfAborted();
    const { path } = DEFINITION[method];
    const request = Buffer.from(JSON.stringify(question));
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(path, asIs, asIs, request, (error, answer) => {
        signal?.removeEventListener("abort", abort);
        if (signal?.aborted === true) reject(signal.reason);
        else if (error !== null || answer === undefined) reject(this.#failure(error));
        else resolve(answer);
      });
      const abort = (): void => call.cancel();
      signal?.addEventListener("abort", abort, { once: true });
    });
    const what = "answer of the daemon";
    return new JsonObject(parseJson(bytes, what, { maxBytes: MAX_BYTES }), what);
  }

  #failure(cause: Error | null): SociError {
    return new SociError("unavailable", `Cannot ask the daemon at "${this.#path}"`, {
      cause,
      hint: "Is it running? sociable serve starts it; --address names its socket",
    });
  }
}
