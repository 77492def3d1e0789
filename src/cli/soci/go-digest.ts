import { SociError } from "../../errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";

const FORMAT = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;

/** Parses a digest; what is wrong with it is said as Go's package does. https://github.com/opencontainers/go-digest/blob/v1.0.0/digest.go (Validate) */
export function parseGoDigest(text: string): Digest {
  if (isDigest(text)) return text;
  if (!FORMAT.test(text)) throw invalid("invalid checksum digest format");
  const [algorithm = "", hex = ""] = text.split(":");
  if (algorithm !== "sha256") throw invalid("unsupported digest algorithm");
  throw invalid(
    hex.length === 64 ? "invalid checksum digest format" : "invalid checksum digest length",
  );
}

function invalid(message: string): SociError {
  return new SociError("invalid-argument", message);
}
