// Goes on serving a mount whose process has ended: descriptor 3 is its connection. Its one argument
// is a ServerOrder. It says "serving" when it does, and ends with the mount.
import { mountImage } from "../../src/daemon/mount-image.ts";
import { createLogger } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import {
  spawnFuseWorker,
  spawnInflateWorker,
  spawnIngestWorker,
  spawnTablesWorker,
} from "../../src/workers.ts";

export interface ServerOrder {
  readonly root: string;
  readonly image: string;
  readonly directory: string;
}

const CONNECTION_FD = 3;

const { root, image, directory } = JSON.parse(process.argv[2] ?? "") as ServerOrder; // of our own tests
const log = createLogger({
  level: "info",
  sink: ({ level, message }) => process.stderr.write(`${level} ${message}\n`),
});
await using source = await openImageSource(image);
await using mounted = await mountImage({
  source,
  directory,
  name: image,
  root,
  allowOther: true,
  readTimeoutMs: 30_000,
  threads: {
    spawnFuse: spawnFuseWorker,
    spawnInflate: spawnInflateWorker,
    spawnTables: spawnTablesWorker,
    spawnIngest: spawnIngestWorker,
  },
  log,
  onStreamed: () => ({ add: () => undefined, end: () => undefined }),
  connectionFd: CONNECTION_FD,
});
process.stdout.write("serving\n");
await mounted.ended();
