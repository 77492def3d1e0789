import { field, message } from "./protobuf.ts";
import { method } from "./service.ts";

// https://github.com/containerd/containerd/blob/main/api/services/namespaces/v1/namespace.proto

export interface Namespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

const NAMESPACE = message<Namespace>("Namespace", {
  name: field.string(1),
  labels: field.map(2),
});

export interface GetNamespaceRequest {
  readonly name: string;
}

const GET_NAMESPACE_REQUEST = message<GetNamespaceRequest>("GetNamespaceRequest", {
  name: field.string(1),
});

export interface NamespaceMessage {
  readonly namespace: Namespace | undefined;
}

/** The request of Create, and the answers of Get and Create. */
const NAMESPACE_MESSAGE = message<NamespaceMessage>("NamespaceMessage", {
  namespace: field.message(1, NAMESPACE),
});

export interface ListNamespacesRequest {
  readonly filter: string;
}

const LIST_NAMESPACES_REQUEST = message<ListNamespacesRequest>("ListNamespacesRequest", {
  filter: field.string(1),
});

export interface ListNamespacesResponse {
  readonly namespaces: readonly Namespace[];
}

const LIST_NAMESPACES_RESPONSE = message<ListNamespacesResponse>("ListNamespacesResponse", {
  namespaces: field.messages(1, NAMESPACE),
});

const service = "containerd.services.namespaces.v1.Namespaces";

export const NAMESPACES_SERVICE = {
  get: method(service, "Get", { request: GET_NAMESPACE_REQUEST, response: NAMESPACE_MESSAGE }),
  list: method(service, "List", {
    request: LIST_NAMESPACES_REQUEST,
    response: LIST_NAMESPACES_RESPONSE,
  }),
  create: method(service, "Create", { request: NAMESPACE_MESSAGE, response: NAMESPACE_MESSAGE }),
} as const;
