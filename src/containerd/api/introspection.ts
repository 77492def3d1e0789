import { field, message } from "./protobuf.ts";
import { method } from "./service.ts";

// https://github.com/containerd/containerd/blob/main/api/services/introspection/v1/introspection.proto

export interface PluginError {
  /** A status code of gRPC. */
  readonly code: number;
  readonly message: string;
}

const PLUGIN_ERROR = message<PluginError>("Status", {
  code: field.int32(1),
  message: field.string(2),
});

export interface Plugin {
  /** As in `io.containerd.snapshotter.v1`. */
  readonly type: string;
  readonly id: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** Why it does not work; `undefined` when it does. */
  readonly initError: PluginError | undefined;
}

const PLUGIN = message<Plugin>("Plugin", {
  type: field.string(1),
  id: field.string(2),
  exports: field.map(5),
  capabilities: field.strings(6),
  initError: field.message(7, PLUGIN_ERROR),
});

export interface PluginsRequest {
  readonly filters: readonly string[];
}

const PLUGINS_REQUEST = message<PluginsRequest>("PluginsRequest", { filters: field.strings(1) });

export interface PluginsResponse {
  readonly plugins: readonly Plugin[];
}

const PLUGINS_RESPONSE = message<PluginsResponse>("PluginsResponse", {
  plugins: field.messages(1, PLUGIN),
});

export const INTROSPECTION_SERVICE = {
  plugins: method("containerd.services.introspection.v1.Introspection", "Plugins", {
    request: PLUGINS_REQUEST,
    response: PLUGINS_RESPONSE,
  }),
} as const;
