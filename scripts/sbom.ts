import { createHash } from "node:crypto";
import type { BundledPackage } from "./bundled-packages.ts";
import { outputOf } from "./project.ts";
import { type ReleaseTarget, RUNTIME_VERSION } from "./release-targets.ts";

interface Component {
  readonly name: string;
  readonly version: string;
  readonly "bom-ref": string;
}

interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly {
    readonly ref: string;
    readonly dependsOn?: readonly string[];
  }[];
}

export interface SbomOptions {
  readonly packages: readonly BundledPackage[];
  readonly targets: readonly ReleaseTarget[];
  /** Of the commit, RFC 3339. */
  readonly time: string;
}

/**
 * A CycloneDX document of what the executables hold, as `npm sbom` describes it: packages that the
 * bundler left out are left out, the runtimes are added, and nothing in it changes from run to run.
 */
export async function sbomText({ packages, targets, time }: SbomOptions): Promise<string> {
  const printed = await outputOf([
    "npm",
    "sbom",
    "--sbom-format=cyclonedx",
    "--sbom-type=application",
    "--package-lock-only",
  ]);
  if (printed === undefined) throw new Error("Cannot run npm sbom: want npm 10 or later");
  const bom = JSON.parse(printed) as Bom;
  const names = new Set(packages.map(({ name, version }) => `${name}@${version}`));
  const components = [
    ...bom.components.filter((component) => names.has(component["bom-ref"])),
    ...targets.map(runtimeComponent),
  ].toSorted((a, b) => (a["bom-ref"] < b["bom-ref"] ? -1 : 1));
  const missing = [...names].filter(
    (name) => !components.some((found) => found["bom-ref"] === name),
  );
  if (missing.length > 0) throw new Error(`npm sbom knows nothing of ${missing.join(", ")}`);
  const top = bom.metadata.component["bom-ref"];
  const refs = new Set([top, ...components.map((component) => component["bom-ref"])]);
  const dependencies = bom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn = [] }) => ({
      ref,
      // npm names some twice, which the format forbids.
      dependsOn: [
        ...new Set([
          ...dependsOn.filter((other) => refs.has(other)),
          ...(ref === top ? targets.map((target) => runtimeComponent(target)["bom-ref"]) : []),
        ]),
      ].toSorted(),
    }));
  const content = {
    ...bom,
    metadata: {
      ...bom.metadata,
      timestamp: time,
      // npm names it after the directory it is in.
      component: { ...bom.metadata.component, name: "sociable" },
    },
    components,
    dependencies,
  };
  const serial = uuidOf(JSON.stringify({ ...content, serialNumber: "" }));
  return `${JSON.stringify({ ...content, serialNumber: `urn:uuid:${serial}` }, null, 2)}\n`;
}

function runtimeComponent({ package: name, integrity }: ReleaseTarget) {
  const content = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
  return {
    "bom-ref": `${name}@${RUNTIME_VERSION}`,
    type: "framework",
    name,
    version: RUNTIME_VERSION,
    description: "Bun, the JavaScript runtime, in the executable of its platform",
    purl: `pkg:npm/${name.replace("@", "%40")}@${RUNTIME_VERSION}`,
    hashes: [{ alg: "SHA-512", content }],
    licenses: [{ license: { id: "MIT" } }],
    externalReferences: [{ type: "license", url: "https://bun.com/docs/project/license" }],
  };
}

/** RFC 9562, version 8: our own, from a hash. */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
