import { once } from "node:events";
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { WaitOptions } from "../async/wait-options.ts";
import type {
  CleanupRequest,
  CommitRequest,
  ListSnapshotsRequest,
  ListSnapshotsResponse,
  MountsResponse,
  PrepareRequest,
  SnapshotInfo,
  SnapshotInfoResponse,
  SnapshotKeyRequest,
  UpdateSnapshotRequest,
  UsageResponse,
  ViewRequest,
} from "../containerd/api/snapshots.ts";
import type { Timestamp } from "../containerd/api/timestamp.ts";
import { toGrpcStatus } from "../containerd/grpc-error.ts";
import { SociError } from "../errors.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Snapshotter } from "./snapshotter.ts";

export interface GrpcServiceOptions {
  readonly snapshotter: Snapshotter;
  readonly log?: Logger;
}

interface CallContext extends Required<WaitOptions> {
  readonly namespace: string | undefined;
}

type Work<Request, Response> = (request: Request, context: CallContext) => Promise<Response>;

const NAMESPACE_HEADER = "containerd-namespace";
const NOTHING: Readonly<Record<string, never>> = {};

/**
 * SNAPSHOTS_SERVICE over a snapshotter, for a server's addService(). A call that its client gives up
 * is aborted. Each failure is the status of its kind; what is none of ours is INTERNAL, and logged.
 */
export function snapshotsService({
  snapshotter,
  log = NO_LOG,
}: GrpcServiceOptions): UntypedServiceImplementation {
  const unary = <Request, Response>(
    name: string,
    work: Work<Request, Response>,
  ): handleUnaryCall<Request, Response> => unaryHandler(name, work, log);
  return {
    prepare: unary("Prepare", async (request: PrepareRequest, context): Promise<MountsResponse> => {
      const { key, parent, labels } = request;
      const namespace = context.namespace ?? namespaceOfKey(key);
      return {
        mounts: await snapshotter.prepare({ name: key, parent, labels, namespace }, context),
      };
    }),
    view: unary("View", async (request: ViewRequest, context): Promise<MountsResponse> => {
      const { key, parent, labels } = request;
      return { mounts: await snapshotter.view({ name: key, parent, labels }, context) };
    }),
    mounts: unary("Mounts", async (request: SnapshotKeyRequest, context) => ({
      mounts: await snapshotter.mounts(request.key, context),
    })),
    commit: unary("Commit", async (request: CommitRequest, context) => {
      const { key, name, labels, parent } = request;
      await snapshotter.commit({ key, name, labels, parent }, context);
      return NOTHING;
    }),
    remove: unary("Remove", async (request: SnapshotKeyRequest, context) => {
      await snapshotter.remove(request.key, context);
      return NOTHING;
    }),
    stat: unary("Stat", async (request: SnapshotKeyRequest, context) =>
      answerOf(await snapshotter.stat(request.key, context)),
    ),
    update: unary("Update", async (request: UpdateSnapshotRequest, context) => {
      const { info, updateMask } = request;
      if (info === undefined) {
        throw new SociError("invalid-argument", "Cannot update a snapshot: info is not set");
      }
      const { name, labels } = info;
      const fieldPaths = updateMask?.paths ?? [];
      return answerOf(await snapshotter.update({ name, labels, fieldPaths }, context));
    }),
    list: listHandler(snapshotter, log),
    usage: unary("Usage", (request: SnapshotKeyRequest, context): Promise<UsageResponse> =>
      snapshotter.usage(request.key, context),
    ),
    cleanup: unary("Cleanup", async (_request: CleanupRequest, context) => {
      await snapshotter.cleanup(context);
      return NOTHING;
    }),
  };
}

function unaryHandler<Request, Response>(
  name: string,
  work: Work<Request, Response>,
  log: Logger,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    work(call.request, contextOf(call)).then(
      (response) => callback(null, response),
      (error: unknown) => {
        report(name, error, log);
        callback(toGrpcStatus(error));
      },
    );
  };
}

function listHandler(
  snapshotter: Snapshotter,
  log: Logger,
): handleServerStreamingCall<ListSnapshotsRequest, ListSnapshotsResponse> {
  return (call) => {
    sendList(snapshotter, call).then(
      () => call.end(),
      (error: unknown) => {
        report("List", error, log);
        // grpc-js takes a status here as the way to end a stream with it.
        call.emit("error", toGrpcStatus(error));
      },
    );
  };
}

async function sendList(
  snapshotter: Snapshotter,
  call: ServerWritableStream<ListSnapshotsRequest, ListSnapshotsResponse>,
): Promise<void> {
  const { signal } = contextOf(call);
  for await (const batch of snapshotter.list(call.request.filters, { signal })) {
    if (!call.write({ info: batch.map(infoOf) })) await once(call, "drain", { signal });
  }
}

function contextOf(
  call: Pick<ServerUnaryCall<unknown, unknown>, "cancelled" | "metadata"> & {
    once(event: "cancelled", listener: () => void): unknown;
  },
): CallContext {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (call.cancelled) abort();
  else call.once("cancelled", abort);
  return { signal: controller.signal, namespace: namespaceOf(call.metadata) };
}

function namespaceOf(metadata: Metadata): string | undefined {
  const [value] = metadata.get(NAMESPACE_HEADER);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** As containerd makes names for its snapshotters: `<namespace>/<number>/<key>`. 1.6 sends no header. */
function namespaceOfKey(key: string): string | undefined {
  return /^([^/]+)\/\d+\//.exec(key)?.[1];
}

function report(call: string, error: unknown, log: Logger): void {
  const isOurs = error instanceof SociError && error.kind !== "internal";
  const isAbort = error instanceof Error && error.name === "AbortError";
  if (!isOurs && !isAbort) log.error("call failed", { call, error });
}

function answerOf(snapshot: Snapshot): SnapshotInfoResponse {
  return { info: infoOf(snapshot) };
}

/** A snapshot as containerd sees it. */
export function infoOf(snapshot: Snapshot): SnapshotInfo {
  const { name, kind, parent, createdAt, updatedAt, labels } = snapshot;
  return {
    name,
    kind,
    parent: parent?.name ?? "",
    createdAt: timestampOfMicroseconds(createdAt),
    updatedAt: timestampOfMicroseconds(updatedAt),
    labels,
  };
}

function timestampOfMicroseconds(microseconds: number): Timestamp {
  const seconds = Math.floor(microseconds / 1_000_000);
  return { seconds, nanos: (microseconds - seconds * 1_000_000) * 1000 };
}
