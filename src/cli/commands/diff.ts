import { tmpdir } from "node:os";
import { WasmEngine } from "../../deflate/wasm-engine.ts";
import {
  type Aspect,
  ASPECTS,
  type DiffSide,
  diffTrees,
  type FileDifference,
} from "../../image/diff-trees.ts";
import { type OpenedImage, openImage } from "../../image/open-image.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { FailedElsewhere, type OutputStream } from "../cli-io.ts";
import { paintOf } from "../colors.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext } from "../command-context.ts";
import { formatByteSize } from "../byte-size.ts";
import { IMAGE_ARG, openSource, openStoreIfThere, PLATFORM_FLAG } from "../image-flags.ts";
import { openZtocFactory } from "../open-ztoc-factory.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { REGISTRY_FLAGS, type RegistryFlagValues } from "../registry-options.ts";
import { safeJson } from "../safe-json.ts";
import { DiffTally, formatDifference, formatTally, jsonOfDifference } from "./diff-report.ts";

/** The exit code of --exit-code when something differs; nothing more is to be said. */
class ImagesDiffer extends FailedElsewhere {
  constructor() {
    super(1);
  }
}

/** Characters that are written at once. */
const BATCH_CHARACTERS = 64 * 1024;

export const diffCommand = defineCommand({
  name: "diff",
  summary: "List the files in which two images differ",
  description:
    "Compares the images as containers would see them, all layers merged, by what their zTOCs say of each file: type, size, link target, mode, owner, time and extended attributes. No file's content is fetched where there is a SOCI index. Files of one size that lie in different layers may still differ in content: they are counted as not compared.",
  examples: [
    {
      command: "sociable diff registry.example.com/team/app:1.4 registry.example.com/team/app:1.5",
      explanation: "A line for each file that was added (+), removed (-) or changed (~)",
    },
    {
      command: "sociable diff --ignore mtime --exit-code oci:./app oci:./rebuilt",
      explanation: "Fail when a rebuilt image has other files, whenever it was built",
    },
  ],
  args: [
    { ...IMAGE_ARG, name: "before", description: `The older image: ${IMAGE_ARG.description}` },
    { ...IMAGE_ARG, name: "after", description: "The newer one, named likewise" },
  ],
  flags: {
    ignore: {
      type: "choice",
      choices: ["mtime", "mode", "owner", "xattrs"],
      multiple: true,
      description: "What does not count as a difference",
    },
    unverified: {
      type: "boolean",
      description: "List (?) files, too, that look the same but whose content was not compared",
    },
    summary: { type: "boolean", short: "s", description: "Print the last line alone" },
    "exit-code": { type: "boolean", description: "Exit with 1 when a difference is found, not 0" },
    json: {
      type: "boolean",
      description: "Print a JSON object: before, after, changes (kind, path, aspects, …), summary",
    },
    ...PAGER_FLAG,
    ...PLATFORM_FLAG,
    ...REGISTRY_FLAGS,
  },
  async run(context) {
    const { args, flags, io, root, signal } = context;
    await using resources = new AsyncDisposableStack();
    const store = await openStoreIfThere(root, signal);
    if (store !== undefined) resources.use(store);
    const open = async (name: string): Promise<Side> => {
      const opened = await openOne(name, { context, store });
      return {
        name,
        manifest: opened.image.descriptor.digest,
        tree: opened.tree,
        layers: opened.layers.map(({ descriptor }) => descriptor.digest),
      };
    };
    // One after the other: both may have to ask for a password.
    const before = await open(args.before);
    const after = await open(args.after);
    const differences = diffTrees(before, after, { ignore: flags.ignore.map(aspectOf) });
    const tally = new DiffTally();
    const report = flags.json ? reportJson : reportLines;
    await withPager({ io, flags }, (out) =>
      report(wanted(differences, tally, flags), { before, after, tally, out, context }),
    );
    if (flags["exit-code"] && tally.isDifferent) throw new ImagesDiffer();
  },
});

interface Side extends DiffSide {
  readonly name: string;
  readonly manifest: string;
}

type DiffContext = Pick<
  CommandContext<
    unknown,
    RegistryFlagValues & { readonly platform: string | undefined; readonly summary: boolean }
  >,
  "flags" | "io" | "log" | "signal" | "progress" | "services"
>;

interface ReportOptions {
  readonly before: Side;
  readonly after: Side;
  readonly tally: DiffTally;
  readonly out: OutputStream;
  readonly context: DiffContext;
}

async function openOne(
  name: string,
  {
    context: { flags, io, log, signal, progress, services },
    store,
  }: {
    readonly context: DiffContext;
    readonly store: Parameters<typeof openImage>[0]["store"];
  },
): Promise<OpenedImage> {
  await using source = await openSource(name, { flags, io, log, signal });
  using factory = openZtocFactory(services, tmpdir());
  const item = progress.item(name);
  try {
    return await openImage({
      source,
      platform: flags.platform === undefined ? undefined : parsePlatform(flags.platform),
      store,
      buildZtoc: factory.build,
      engine: () => new WasmEngine(),
      log,
      signal,
      onStreamed: (layers, isIndexed) => {
        const bytes = layers.reduce((sum, { size }) => sum + size, 0);
        item.setTotal(bytes);
        const fields = { image: name, layers: layers.length, bytes };
        if (isIndexed) log.info("reading layers without a zTOC whole", fields);
        else {
          io.stderr.write(
            `No SOCI index of ${name} was found: reading its ${layers.length} layers (${formatByteSize(bytes)}) whole. To read only what is needed, run: sociable create ${name}\n`,
          );
        }
      },
      onBytes: (count) => item.add(count),
    });
  } finally {
    item.end();
  }
}

function aspectOf(text: string): Aspect {
  const aspect = ASPECTS.find((one) => one === text);
  if (aspect === undefined) throw new Error(`"${text}" is no aspect`);
  return aspect;
}

/** Counts all, and hands on what is to be listed. */
function* wanted(
  differences: Iterable<FileDifference>,
  tally: DiffTally,
  flags: { readonly unverified: boolean; readonly summary: boolean },
): Iterable<FileDifference> {
  for (const difference of differences) {
    tally.count(difference);
    const { kind } = difference;
    if (flags.summary || kind === "same" || (kind === "unverified" && !flags.unverified)) continue;
    yield difference;
  }
}

async function reportLines(
  differences: Iterable<FileDifference>,
  { tally, out, context }: ReportOptions,
): Promise<void> {
  const { io } = context;
  const paint = paintOf(io);
  let batch = "";
  for (const difference of differences) {
    batch += formatDifference(difference, paint);
    if (batch.length < BATCH_CHARACTERS) continue;
    await out.write(batch);
    batch = "";
  }
  await out.write(batch + formatTally(tally));
}

/** Difference by difference: there may be more of them than one text should hold. */
async function reportJson(
  differences: Iterable<FileDifference>,
  { before, after, tally, out }: ReportOptions,
): Promise<void> {
  const show = (text: string): string => (out.isTty ? safeJson(text) : text);
  const side = ({ name, manifest, layers }: Side): string =>
    show(JSON.stringify({ image: name, manifest, layers }));
  let batch = `{\n  "before": ${side(before)},\n  "after": ${side(after)},\n  "changes": [`;
  let separator = "\n";
  for (const difference of differences) {
    batch += `${separator}    ${show(JSON.stringify(jsonOfDifference(difference)))}`;
    separator = ",\n";
    if (batch.length < BATCH_CHARACTERS) continue;
    await out.write(batch);
    batch = "";
  }
  const end = separator === "\n" ? "]" : "\n  ]";
  await out.write(`${batch}${end},\n  "summary": ${JSON.stringify(tally.toJson())}\n}\n`);
}
