import { readFile } from "node:fs/promises";
import { SociError } from "../errors.ts";

/** One mount of this process's namespace. proc_pid_mountinfo(5) */
export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  /** `major:minor` of st_dev. */
  readonly device: string;
  /** The directory of the file system that is mounted. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: string;
  /** As `fuse.sociable`. */
  readonly type: string;
  readonly source: string;
  readonly superOptions: string;
}

const PATH = "/proc/self/mountinfo";

/** What is mounted, in the order in which it was: of two on one directory the later is seen. */
export async function listMounts(): Promise<readonly MountInfo[]> {
  return parseMountinfo(await readFile(PATH, "utf8"));
}

/** What is mounted on a directory, seen without a look at it. Its path must hold no symlinks. */
export async function findMount(directory: string): Promise<MountInfo | undefined> {
  return (await listMounts()).findLast(({ mountPoint }) => mountPoint === directory);
}

/** Reads the text of a mountinfo file. @throws `data-loss` for a line that is none of its. */
export function parseMountinfo(text: string): readonly MountInfo[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseLine);
}

function parseLine(line: string): MountInfo {
  // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw
  const fields = line.split(" ");
  const separator = fields.indexOf("-", 6);
  const [id, parentId, device, root, mountPoint, options] = fields;
  const [type, source, superOptions] = separator < 0 ? [] : fields.slice(separator + 1);
  if (
    !isNumber(id) ||
    !isNumber(parentId) ||
    device === undefined ||
    !/^\d+:\d+$/.test(device) ||
    root === undefined ||
    mountPoint === undefined ||
    options === undefined ||
    type === undefined ||
    source === undefined ||
    superOptions === undefined
  ) {
    throw new SociError("data-loss", `Cannot parse "${PATH}": line is "${line}"`);
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    root: unescapeOctal(root),
    mountPoint: unescapeOctal(mountPoint),
    options,
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    superOptions: unescapeOctal(superOptions),
  };
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,15}$/.test(text);
}

/** The kernel writes space, tab, newline, `\` and `#` as `\` and three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
