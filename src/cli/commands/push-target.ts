import { SociError } from "../../errors.ts";
import { openRegistry } from "../../oci/open-image-source.ts";
import { RegistrySource } from "../../oci/registry-source.ts";
import { parseSourceName } from "../../oci/source-name.ts";
import { registryOptions, type RegistryOptionsContext } from "../registry-options.ts";

/** Opens an image in the repository that its SOCI index is pushed to. May ask for a password. @throws invalid-argument */
export async function openPushTarget(
  image: string,
  context: RegistryOptionsContext,
): Promise<RegistrySource> {
  const name = parseSourceName(image);
  if (name.transport !== "registry") {
    throw new SociError(
      "invalid-argument",
      `Cannot push to "${image}": want the name of an image in a registry`,
      { hint: "`sociable create --output oci:DIR` writes an index into a layout" },
    );
  }
  const { reference } = name;
  const options = await registryOptions(reference.registry, context);
  return new RegistrySource({ reference, client: await openRegistry(reference, options) });
}
