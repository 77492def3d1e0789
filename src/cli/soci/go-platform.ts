import { SociError } from "../../errors.ts";
import type { Platform } from "../../oci/descriptor.ts";
import { parseSpelledPlatform } from "../../oci/spelled-platform.ts";

const COMPONENT = /^[A-Za-z0-9_.-]+$/;
const OS = /^[A-Za-z0-9_-]+$/;
const OS_PATTERN = String.raw`^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)((?:\\+[A-Za-z0-9_.%-]+)*)\\))?$`;

/** Parses a platform, which keeps its spelling; what is wrong is said as containerd does. @throws invalid-argument */
export function parseGoPlatform(text: string): Platform {
  const parts = text.split("/");
  const components = [
    ...parts.slice(0, 3),
    ...(parts.length > 3 ? [parts.slice(3).join("/")] : []),
  ];
  for (const [index, part] of components.entries()) {
    if (index === 0 && !OS.test(part)) {
      throw invalid(
        `${JSON.stringify(part)} is an invalid OS component of ${JSON.stringify(text)}: OSAndVersion specifier component must match "${OS_PATTERN}"`,
      );
    }
    if (index > 0 && !COMPONENT.test(part)) {
      throw invalid(
        `${JSON.stringify(part)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "${COMPONENT.source}"`,
      );
    }
  }
  if (components.length > 3) {
    throw invalid(`${JSON.stringify(text)}: cannot parse platform specifier`);
  }
  return parseSpelledPlatform(text);
}

function invalid(message: string): SociError {
  return new SociError("invalid-argument", `${message}: invalid argument`);
}
