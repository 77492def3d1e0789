import type { Config } from "../config/config.ts";
import type { Personality } from "../config/personality.ts";
import type { Logger } from "../observability/log.ts";
import type { CliIo } from "./cli-io.ts";
import type { CliServices } from "./cli-services.ts";

export interface ServeFunctionOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly io: CliIo;
  readonly services: CliServices;
  /** Aborted when the daemon is to end. */
  readonly signal: AbortSignal;
  readonly personality: Personality;
  /** Whether mounts end with it, also those in use. */
  readonly drains?: boolean;
}

/**
 * Serves until the signal aborts, and resolves then, everything cleaned up. It logs
 * `<name> successfully started` with the `address` once calls are answered; nothing before it says
 * "successfully", because that word is what tools wait for.
 */
export type ServeFunction = (options: ServeFunctionOptions) => Promise<void>;
