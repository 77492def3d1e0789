import type { Descriptor } from "../../src/oci/descriptor.ts";
import type { Bench } from "./bench-context.ts";
import { countRounds } from "./count-rounds.ts";
import { PushStage } from "./push-stage.ts";
import { RequestRecorder } from "./request-recorder.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand, runCommand } from "./run-command.ts";
import { SERVE_IMAGES } from "./serve-stage.ts";

const OURS = "push";
const CURL = "curl --head";

export const pushBench: Bench = {
  name: "push",
  summary: "push of an index whose zTOCs the registry has, 10 ms a request",
  async *run(context) {
    const { binary, runs, onSample, signal } = context;
    await using stage = await PushStage.open(context, [SERVE_IMAGES.many]);
    const image = await stage.inFreshRepository(await stage.imageOf(`bench/${SERVE_IMAGES.many}`));
    const root = ["--root", stage.dir.join("root")];
    const create = [binary, "create", "--push", "--min-layer-size", "0", ...root];
    await runCommand([...create, `${stage.host}/${image.repository}:latest`], { signal });
    const blobs = await stage.indexBlobs(image);
    const push = async (host: string) => {
      const { repository } = await stage.inFreshRepository(image, blobs);
      const at = `${host}/${repository}:latest`;
      return await measureCommand([binary, "push", ...root, at], { signal });
    };
    const sides = await runByTurns(
      [
        {
          label: OURS,
          includes: "the repository has the image and all zTOCs, and no index",
          measure: () => push(stage.line.host),
        },
        {
          label: CURL,
          includes: "a HEAD of each of the blobs, 3 at a time",
          measure: () =>
            measureCommand(headsOf(stage.line.host, { repository: image.repository, blobs }), {
              signal,
            }),
        },
      ],
      { runs, onSample },
    );
    await using recorder = await RequestRecorder.start(stage.line.host);
    await push(recorder.host);
    const requests = recorder.take();
    const heads = requests.filter(({ head }) => head.startsWith("HEAD "));
    const uploads = requests.filter(({ head }) => /^(?:POST|PATCH|PUT) \S+\/blobs\//.test(head));
    const limit = new Set(blobs.map(({ digest }) => digest)).size;
    yield {
      name: "push",
      title: "push of an index whose zTOCs the registry has, 10 ms a request",
      input: `pynode-32, an index of ${limit - 1} zTOCs`,
      sides,
      figures: [
        {
          what: "HEAD requests",
          value: heads.length,
          unit: "requests",
          target: { floor: limit, aim: limit, isLimit: true },
        },
        { what: "… one after another", value: countRounds(heads), unit: "rounds" },
        { what: "requests that send blobs", value: uploads.length, unit: "requests" },
        { what: "all requests", value: requests.length, unit: "requests" },
        { what: "… one after another", value: countRounds(requests), unit: "rounds" },
      ],
    };
  },
};

function headsOf(
  host: string,
  { repository, blobs }: { readonly repository: string; readonly blobs: readonly Descriptor[] },
): readonly string[] {
  const urls = blobs.map(({ digest }) => `http://${host}/v2/${repository}/blobs/${digest}`);
  const outputs = urls.flatMap((url) => ["--output", "/dev/null", url]);
  return ["curl", "--silent", "--fail", "--head", "--parallel", "--parallel-max", "3", ...outputs];
}
