import { JsonObject, parseJson } from "./json-document.ts";

export interface RegistryMessage {
  readonly code?: string;
  readonly reason?: string;
}

const MAX_TEXT = 300;
const CODE = /^[A-Z0-9_]{1,64}$/i;
const XML_CODE = /<Code>([^<]{1,64})<\/Code>/;
const XML_MESSAGE = /<Message>([^<]{1,300})<\/Message>/;
// Other people's text in our messages: no control characters.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]+/g;

/** What a registry (JSON) or an object store (XML) says about a failure; nothing when it says nothing readable. */
export function readErrorBody(bytes: Uint8Array): RegistryMessage {
  const text = new TextDecoder().decode(bytes);
  const code = XML_CODE.exec(text)?.[1];
  if (code !== undefined) {
    return messageOf(code, XML_MESSAGE.exec(text)?.[1]);
  }
  try {
    // https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
    const json = new JsonObject(parseJson(bytes, "error message"), "error message");
    const first = json.optionalObjects("errors", 1000)?.[0];
    return messageOf(
      first?.optionalString("code"),
      first?.optionalString("message") ?? json.optionalString("details"),
    );
  } catch {
    // Not the form of a registry (a proxy's HTML page, say): the status has to do.
    return {};
  }
}

function messageOf(code: string | undefined, message: string | undefined): RegistryMessage {
  const reason = message?.replace(CONTROLS, " ").trim().slice(0, MAX_TEXT);
  return {
    ...(code !== undefined && CODE.test(code) ? { code } : {}),
    ...(reason === undefined || reason === "" ? {} : { reason: `"${reason}"` }),
  };
}
