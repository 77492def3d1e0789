import { connect } from "node:net";
import { dirname } from "node:path";
import { checkConfig, findingText } from "../../config/config.ts";
import { attempt, look, lstatOf } from "../host-files.ts";
import { Systemd } from "../systemd.ts";
import { type Check, fail, ok, warn } from "./check.ts";

const CONNECT_TIMEOUT_MS = 3000;
const START = "Start it: systemctl start sociable, or sociable serve";

/** Whether the service's socket is there, is nobody else's, and is listened at. */
export async function socketCheck(path: string): Promise<Check> {
  const name = "service socket";
  const stats = lstatOf(path);
  if (stats === undefined) return fail(name, `there is no ${path}`, START);
  if (!stats.isSocket()) {
    return fail(name, `${path} is no socket`, `Remove it: rm ${path}; then restart the service`);
  }
  // Whoever can connect can mount and remove snapshots.
  if ((stats.mode & 0o022) !== 0 && (lstatOf(dirname(path))?.mode ?? 0) & 0o011) {
    return fail(
      name,
      `${path} is open to others, mode ${(stats.mode & 0o777).toString(8)}`,
      `As root: chmod 600 ${path}; in the socket unit: SocketMode=0600`,
    );
  }
  const failure = await connectFailure(path);
  if (failure === undefined) return ok(name, path);
  return failure === "EACCES"
    ? fail(name, `${path} cannot be opened`, "Run it as root")
    : fail(name, `nobody listens at ${path} (${failure})`, START);
}

/** The code of the system's error; `undefined` when it could be connected to. */
async function connectFailure(path: string): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (failure: string | undefined): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle("no answer"));
    socket.once("connect", () => settle(undefined));
    socket.once("error", (error) => settle("code" in error ? String(error.code) : error.message));
  });
}

/** Whether the service runs, as the service manager sees it; nothing where there is none. */
export async function systemdChecks(): Promise<readonly Check[]> {
  if (!Systemd.isRunning()) return [];
  const state = await new Systemd().state("sociable.service");
  const name = "service";
  if (state === "active") return [ok(name, "sociable.service is active")];
  return state === "failed"
    ? [fail(name, "sociable.service has failed", "See why: journalctl -u sociable -n 50")]
    : [
        warn(
          name,
          `sociable.service is ${state === "" ? "unknown" : state}`,
          "As root: sociable install",
        ),
      ];
}

/** Whether the daemon would take its configuration file. */
export function configCheck(file: string): Check {
  const name = "configuration";
  const found = attempt(`read "${file}"`, () => look(file));
  if (found.kind === "nothing") return ok(name, "as usual: there is no file");
  if (found.kind !== "file") return warn(name, `${file} is no regular file`);
  const { problems, warnings } = checkConfig(found.bytes.toString(), {
    file,
    personality: "sociable",
  });
  const [problem] = problems;
  if (problem !== undefined)
    return fail(name, findingText(file, problem), `sociable config check ${file}`);
  const [warning] = warnings;
  if (warning !== undefined)
    return warn(name, findingText(file, warning), `sociable config check ${file}`);
  return ok(name, file);
}
