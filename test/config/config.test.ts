import { describe, expect, test } from "bun:test";
import { checkConfig, defaultConfig, findingText, loadConfig } from "../../src/config/config.ts";
import { formatConfig, formatDefaults } from "../../src/config/format-config.ts";
import { keyNotes } from "../../src/config/key-notes.ts";
import { PERSONALITIES } from "../../src/config/personality.ts";
import { failureOf } from "../support/failure.ts";
import { secretLines } from "../support/secret-patterns.ts";

const OURS = { file: "/etc/c.toml", personality: "sociable" } as const;
const GO = { file: "/etc/c.toml", personality: "soci-snapshotter-grpc" } as const;

function findingsOf(text: string): { readonly warnings: string[]; readonly problems: string[] } {
  const { warnings, problems } = checkConfig(text, OURS);
  return {
    warnings: warnings.map((finding) => findingText("f", finding)),
    problems: problems.map((finding) => findingText("f", finding)),
  };
}

describe("defaultConfig()", () => {
  test("is the Go snapshotter's under its name", () => {
    expect(defaultConfig("soci-snapshotter-grpc")).toMatchObject({
      root: "/var/lib/soci-snapshotter-grpc",
      address: "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock",
      maxConcurrency: 100,
      mountTimeoutSec: 30,
      metricsNetwork: "tcp",
      http: {
        dialTimeoutMsec: 3000,
        responseHeaderTimeoutMsec: 3000,
        requestTimeoutMsec: 300_000,
        maxRetries: 8,
        minWaitMsec: 30,
        maxWaitMsec: 300_000,
      },
      blob: { validInterval: 60, fetchingTimeoutSec: 300, maxSpanVerificationRetries: 0 },
      directoryCache: { direct: true },
      backgroundFetch: { disable: false, maxQueueSize: 300, dropPolicy: "newest" },
      contentStore: { type: "soci", containerdAddress: "/run/containerd/containerd.sock" },
      prefetch: { enable: false, maxConcurrency: 0 },
      pullModes: {
        sociV1: { enable: false },
        sociV2: { enable: true },
        parallelPullUnpack: {
          enable: false,
          maxConcurrentDownloads: -1,
          maxConcurrentDownloadsPerImage: 3,
          concurrentDownloadChunkSize: 0,
          maxConcurrentUnpacks: -1,
          maxConcurrentUnpacksPerImage: 1,
        },
      },
      resolver: { authClientTtlSec: 3600 },
      criKeychain: { enableKeychain: false },
      snapshotter: { minLayerSize: 0, allowInvalidMountsOnRestart: false },
    });
  });

  test("looks for more indexes and prefetches under our name", () => {
    expect(defaultConfig("sociable")).toMatchObject({
      root: "/var/lib/sociable",
      address: "/run/sociable/sociable.sock",
      onMissingIndex: "runtime",
      cache: { size: 0, readTimeoutSec: 300 },
      prefetch: { enable: true },
      pullModes: { sociV1: { enable: true } },
      registry: { hostsDir: "/etc/containerd/certs.d" },
      containerd: { address: "/run/containerd/containerd.sock" },
      takeoverTimeoutSec: 120,
    });
  });
});

describe("loadConfig()", () => {
  test("reads every kind of key", () => {
    const { config, warnings } = loadConfig(
      `
on_missing_index = "stream"
[http]
MaxRetries = 2
[cache]
size = "1.5GB"
[resolver.host."docker.io"]
mirrors = [{ host = "https://mirror.example", insecure = true, request_timeout_sec = -1 }, { host = "b" }]
[resolver.host."__proto__"]
[pull_modes.parallel_pull_unpack]
concurrent_download_chunk_size = "8 MB"
`,
      OURS,
    );
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      onMissingIndex: "stream",
      http: { maxRetries: 2 },
      blob: { maxRetries: 2, minWaitMsec: 30 },
      cache: { size: 1.5 * 1024 ** 3 },
      pullModes: { parallelPullUnpack: { concurrentDownloadChunkSize: 8 * 1024 ** 2 } },
    });
    expect(Array.from(config.resolver.host)).toEqual([
      [
        "docker.io",
        {
          mirrors: [
            { host: "https://mirror.example", insecure: true, requestTimeoutSec: -1 },
            { host: "b", insecure: false, requestTimeoutSec: 0 },
          ],
        },
      ],
      ["__proto__", { mirrors: [] }],
    ]);
  });

  test.each([
    { title: "http.MaxRetries", text: "[http]\nMaxRetries = 0" },
    { title: "mount_timeout_sec", text: "mount_timeout_sec = 0" },
    { title: "background_fetch.max_queue_size", text: "[background_fetch]\nmax_queue_size = 0" },
    {
      title: "max_concurrent_downloads_per_image",
      text: "[pull_modes.parallel_pull_unpack]\nmax_concurrent_downloads_per_image = 0",
    },
  ])("takes 0 of $title for the default", ({ text }) => {
    expect(loadConfig(text, OURS)).toEqual({ config: defaultConfig("sociable"), warnings: [] });
  });

  test("gives a key the value of the one that it stands for", () => {
    const text = `
debug = true
[http]
MinWaitMsec = 7
[blob]
fetching_timeout_sec = 9
[content_store]
containerd_address = "unix:///run/c.sock"
`;
    expect(loadConfig(text, OURS).config).toMatchObject({
      logLevel: "debug",
      blob: { minWaitMsec: 7 },
      cache: { readTimeoutSec: 9 },
      containerd: { address: "/run/c.sock" },
    });
  });

  test("throws with file, line and key, and says how much else is wrong", () => {
    const error = failureOf(() =>
      loadConfig('[blob]\n\nmax_retries = "x"\nmin_wait_msec = -1', OURS),
    );
    expect(error).toMatchObject({
      kind: "failed-precondition",
      message: 'Cannot use "/etc/c.toml", line 3: blob.max_retries is a string, want an integer',
      hint: expect.stringMatching(/^1 more/),
    });
  });
});

describe("checkConfig()", () => {
  test.each([
    { title: "TOML that is none", text: "a = 1\nb =\n", want: 'f", line 2: ' },
    { title: "a number that JavaScript has not", text: "a = 9007199254740993", want: "line 1: " },
    { title: "a table that is none", text: "http = 3", want: "http is a number, want a table" },
    {
      title: "a fraction",
      text: "[fuse]\nthreads = 1.5",
      want: "fuse.threads is a number, want an integer",
    },
    { title: "a negative number", text: "[fuse]\nthreads = -1", want: "is -1, want 0 or more" },
    {
      title: "a choice that there is not",
      text: '[background_fetch]\ndrop_policy = "random"',
      want: 'line 2: background_fetch.drop_policy is "random", want "newest", "oldest"',
    },
    {
      title: "a size without a unit",
      text: '[pull_modes.parallel_pull_unpack]\nconcurrent_download_chunk_size = "8x"',
      want: "invalid size format: 8x",
    },
    {
      title: "an image's limit above that of all",
      text: "[pull_modes.parallel_pull_unpack]\nmax_concurrent_downloads = 2",
      want: "global download limit less than per-image download limit",
    },
    {
      title: "a list that is none",
      text: '[resolver.host."a"]\nmirrors = "b"',
      want: "resolver.host.a.mirrors is a string, want an array of tables",
    },
    { title: "a date", text: "root = 1979-05-27", want: "root is a date, want a string" },
    { title: "far too much text", text: `#${"x".repeat(2 ** 20)}`, want: "want at most" },
  ])("refuses $title", ({ text, want }) => {
    const { problems } = findingsOf(text);
    expect(problems.length).toBe(1);
    expect(problems[0]).toContain(want);
  });

  test.each([
    {
      title: "a slip of the keyboard",
      text: "max_concurency = 100",
      want: 'f", line 1: max_concurency is not a key that is known; did you mean max_concurrency?',
    },
    {
      title: "a key in another's table",
      text: "[blob]\ncontainerd_address = ''",
      want: "did you mean content_store.containerd_address?",
    },
    {
      title: "a key that is ignored",
      text: "[fuse]\nattr_timeout = 5",
      want: "fuse.attr_timeout has no effect: layers never change",
    },
    {
      title: "a program that is not run",
      text: '[pull_modes.parallel_pull_unpack.decompress_streams."gzip"]\npath = "/bin/gz"',
      want: "decompress_streams.gzip has no effect: ",
    },
    {
      title: "a name that is not known",
      text: "[pull_modes.parallel_pull_unpack.decompress_streams.lz4]\npath = ''",
      want: "decompress_streams.lz4 is not a name that is known: want gzip, zstd",
    },
  ])("warns of $title, once", ({ text, want }) => {
    const { problems, warnings } = findingsOf(text);
    expect({ problems, count: warnings.length }).toEqual({ problems: [], count: 1 });
    expect(warnings[0]).toContain(want);
  });

  test("does not warn of an ignored key that is as usual", () => {
    expect(findingsOf("max_concurrency = 100\n[fuse]\nattr_timeout = 1").warnings).toEqual([]);
  });

  test("bounds what it says", () => {
    const text = Array.from({ length: 5000 }, (_, index) => `k${index} = 1`).join("\n");
    expect(checkConfig(text, OURS).warnings.length).toBe(100);
  });

  test.each([
    { title: "refuses it alone", more: "", problems: 1 },
    {
      title: "takes it with containerd's store",
      more: '[content_store]\ntype = "containerd"',
      problems: 0,
    },
  ])("parallel pulls under the Go snapshotter's name: $title", ({ more, problems }) => {
    const text = `[pull_modes.parallel_pull_unpack]\nenable = true\n${more}`;
    expect(checkConfig(text, GO).problems.length).toBe(problems);
    expect(checkConfig(text, OURS).problems.length).toBe(0);
  });
});

describe("formatConfig()", () => {
  test.each(
    PERSONALITIES.flatMap((personality) => [true, false].map((marks) => ({ personality, marks }))),
  )(
    "writes defaults of $personality that load without a word, marks: $marks",
    ({ personality, marks }) => {
      const text = formatDefaults(personality, { marks });
      expect(text.includes("#")).toBe(marks);
      const { config, warnings } = loadConfig(text, { file: "f", personality });
      expect({ config, warnings }).toEqual({ config: defaultConfig(personality), warnings: [] });
    },
  );

  test("writes what loads to the same", () => {
    const text = `
root = "/a \\"b\\"\\u007f"
[cache]
size = 12345
[resolver.host."http://a.b:1/x"]
mirrors = [{ host = "m", insecure = true }]
[pull_modes.parallel_pull_unpack]
concurrent_download_chunk_size = "16mb"
[pull_modes.parallel_pull_unpack.decompress_streams.zstd]
path = "/usr/bin/zstd"
args = ["-d", "-c"]
`;
    const { config } = loadConfig(text, OURS);
    const again = formatConfig(config, { marks: true });
    expect(loadConfig(again, OURS).config).toEqual(config);
    expect(again).toContain('concurrent_download_chunk_size = "16mb"');
  });

  test("marks every key", () => {
    const lines = formatDefaults("sociable", { marks: true }).split("\n");
    const keys = lines.filter((line) => /^\w+ = /.test(line));
    expect(keys.filter((line) => !/ # (?:honoured|mapped|ignored): ./.test(line))).toEqual([]);
  });
});

describe("keyNotes()", () => {
  const notes = keyNotes();

  test("has a note on every key, which a log may hold", () => {
    expect(notes.length).toBeGreaterThan(80);
    expect(notes.filter(({ why }) => why.length < 8 || why.endsWith("."))).toEqual([]);
    expect(secretLines(notes.map(({ why }) => why))).toEqual([]);
  });

  test("names mirrors and decompressors", () => {
    const paths = notes.map(({ path }) => path.join("."));
    expect(paths).toContain("resolver.host.*.mirrors.request_timeout_sec");
    expect(paths).toContain("pull_modes.parallel_pull_unpack.decompress_streams.*.path");
  });
});
