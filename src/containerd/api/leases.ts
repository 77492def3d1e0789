import { EMPTY, field, message } from "./protobuf.ts";
import { method } from "./service.ts";
import { TIMESTAMP, type Timestamp } from "./timestamp.ts";

// https://github.com/containerd/containerd/blob/main/api/services/leases/v1/leases.proto

export interface Lease {
  readonly id: string;
  readonly createdAt: Timestamp | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

const LEASE = message<Lease>("Lease", {
  id: field.string(1),
  createdAt: field.message(2, TIMESTAMP),
  labels: field.map(3),
});

export interface CreateLeaseRequest {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

const CREATE_LEASE_REQUEST = message<CreateLeaseRequest>("CreateRequest", {
  id: field.string(1),
  labels: field.map(3),
});

export interface CreateLeaseResponse {
  readonly lease: Lease | undefined;
}

const CREATE_LEASE_RESPONSE = message<CreateLeaseResponse>("CreateResponse", {
  lease: field.message(1, LEASE),
});

export interface DeleteLeaseRequest {
  readonly id: string;
  readonly sync: boolean;
}

const DELETE_LEASE_REQUEST = message<DeleteLeaseRequest>("DeleteRequest", {
  id: field.string(1),
  sync: field.bool(2),
});

export interface ListLeasesRequest {
  readonly filters: readonly string[];
}

const LIST_LEASES_REQUEST = message<ListLeasesRequest>("ListRequest", {
  filters: field.strings(1),
});

export interface ListLeasesResponse {
  readonly leases: readonly Lease[];
}

const LIST_LEASES_RESPONSE = message<ListLeasesResponse>("ListResponse", {
  leases: field.messages(1, LEASE),
});

/** `type` is `content`, `ingest` or `snapshots/<snapshotter>`; `id` a digest, ref or key. */
export interface LeaseResource {
  readonly id: string;
  readonly type: string;
}

const LEASE_RESOURCE = message<LeaseResource>("Resource", {
  id: field.string(1),
  type: field.string(2),
});

export interface AddResourceRequest {
  readonly id: string;
  readonly resource: LeaseResource | undefined;
}

const ADD_RESOURCE_REQUEST = message<AddResourceRequest>("AddResourceRequest", {
  id: field.string(1),
  resource: field.message(2, LEASE_RESOURCE),
});

const service = "containerd.services.leases.v1.Leases";

export const LEASES_SERVICE = {
  create: method(service, "Create", {
    request: CREATE_LEASE_REQUEST,
    response: CREATE_LEASE_RESPONSE,
  }),
  delete: method(service, "Delete", { request: DELETE_LEASE_REQUEST, response: EMPTY }),
  list: method(service, "List", { request: LIST_LEASES_REQUEST, response: LIST_LEASES_RESPONSE }),
  addResource: method(service, "AddResource", { request: ADD_RESOURCE_REQUEST, response: EMPTY }),
} as const;
