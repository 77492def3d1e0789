import type { BundledPackage } from "./bundled-packages.ts";
import { RUNTIME_VERSION } from "./release-targets.ts";

const RULE = "-".repeat(80);

/** The licences of everything that is in the executable beside our own code. */
export function licenseText(packages: readonly BundledPackage[]): string {
  const list = packages.map(({ name, version, license }) => `${name} ${version}: ${license}`);
  const texts = packages.map(
    ({ name, version, text }) => `${RULE}\n${name} ${version}\n${RULE}\n\n${text}\n`,
  );
  return `sociable is under the Apache License 2.0. Its executable also holds:

Bun ${RUNTIME_VERSION} (the runtime): MIT. It is linked with JavaScriptCore (LGPL-2.0-or-later),
BoringSSL, zlib and other libraries, whose licences and sources it lists:
https://bun.com/docs/project/license

${list.join("\n")}

${texts.join("\n")}`;
}
