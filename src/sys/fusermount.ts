import { SociError } from "../errors.ts";
import { sysClose } from "./libc.ts";
import { receiveDescriptors, socketPair } from "./pass-descriptors.ts";

const PROGRAMS = ["fusermount3", "fusermount"];
const SHOWN = 500;
const SOCKET_IN_CHILD = 3;

/** Mounts as an ordinary user; the descriptor of the new connection. */
export async function mountByFusermount(
  directory: string,
  options: readonly string[],
): Promise<number> {
  const program = programOf("mount");
  const [ours, theirs] = socketPair();
  try {
    await runFusermount({
      command: [program, "-o", options.join(","), "--", directory],
      what: `Cannot mount on "${directory}"`,
      socket: theirs,
    });
    // It sent the descriptor before it ended.
    const fd = receiveDescriptors(ours)?.descriptors[0];
    if (fd !== undefined) return fd;
    throw new SociError(
      "internal",
      `Cannot mount on "${directory}": ${program} gave no descriptor`,
    );
  } finally {
    sysClose(ours);
    sysClose(theirs);
  }
}

export interface FusermountUnmountOptions {
  /** Detaches the directory now, also when it is in use. */
  readonly lazy: boolean;
}

/** Unmounts what the user has mounted. */
export async function unmountByFusermount(
  directory: string,
  { lazy }: FusermountUnmountOptions,
): Promise<void> {
  await runFusermount({
    command: [programOf("unmount"), "-u", ...(lazy ? ["-z"] : []), "--", directory],
    what: `Cannot unmount "${directory}"`,
  });
}

function programOf(verb: string): string {
  const program = PROGRAMS.map((name) => Bun.which(name)).find((path) => path !== null);
  if (program !== undefined && program !== null) return program;
  throw new SociError("unsupported", `Cannot ${verb}: ${PROGRAMS[0]} is not installed`, {
    hint: "Only root mounts without it; it is in the package fuse3",
  });
}

interface FusermountRun {
  readonly command: readonly string[];
  /** What failed, for the error. */
  readonly what: string;
  readonly socket?: number;
}

async function runFusermount({ command, what, socket }: FusermountRun): Promise<void> {
  const child = Bun.spawn([...command], {
    stdio: ["ignore", "ignore", "pipe", ...(socket === undefined ? [] : [socket])],
    // It is set-user-ID and reads nothing else.
    env: socket === undefined ? {} : { _FUSE_COMMFD: String(SOCKET_IN_CHILD) },
  });
  const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code === 0) return;
  const text = said.trim().slice(0, SHOWN);
  throw new SociError(
    /permission|not permitted|allow_other|user has no/i.test(text)
      ? "permission-denied"
      : "failed-precondition",
    `${what}: ${text === "" ? `fusermount ended with ${code}` : text}`,
    text.includes("user_allow_other")
      ? { hint: "Other users may only be allowed where /etc/fuse.conf has user_allow_other" }
      : {},
  );
}
