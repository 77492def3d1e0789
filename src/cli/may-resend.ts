/**
 * False when the environment asks for mounts as on a kernel that cannot be asked for what a server that
 * ended has left unanswered.
 */
export function mayResend(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env["SOCIABLE_FUSE_NO_RESEND"] ?? "") === "";
}
