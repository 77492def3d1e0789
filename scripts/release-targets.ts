/** A platform that is released. */
export interface ReleaseTarget {
  /** As in the names of files: `linux-x64-musl`. */
  readonly name: string;
  /** As Bun calls it. */
  readonly bun: string;
  /** The package with its runtime, and that package's hash as npm has it. */
  readonly package: string;
  readonly integrity: string;
}

/** The runtimes' version: the one that package-lock.json pins for this machine. */
export const RUNTIME_VERSION = "1.4.5";

export const RELEASE_TARGETS: readonly ReleaseTarget[] = [
  {
    name: "linux-x64",
    bun: "bun-linux-x64",
    package: "@oven/bun-linux-x64",
    integrity:
      "sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
  },
  {
    name: "linux-x64-musl",
    bun: "bun-linux-x64-musl",
    package: "@oven/bun-linux-x64-musl",
    integrity:
      "sha512-10QoW/YfTgnURaGEaHpJCiXjLI2e5iTtfVDaA5JKcyUzaa1cq6cVUY9/Uq5XkYzvtRjHLRe9Oj/lTDIQcxy8HQ==",
  },
  {
    name: "linux-arm64",
    bun: "bun-linux-arm64",
    package: "@oven/bun-linux-aarch64",
    integrity:
      "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
  },
  {
    name: "linux-arm64-musl",
    bun: "bun-linux-arm64-musl",
    package: "@oven/bun-linux-aarch64-musl",
    integrity:
      "sha512-XCNc+WvvMAdNNb+OWTogpy+N9wm62fkVeEVLb6how0RZhW5LPi6c7BlkeVCuWps7XjEl2saFpHFa20/1E+PAHg==",
  },
];
