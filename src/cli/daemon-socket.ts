import { DAEMON_KEYS } from "../config/daemon-keys.ts";

/** Where `sociable serve` listens unless it is told otherwise. */
export const DEFAULT_SOCKET: string = DAEMON_KEYS.address.sociable;
