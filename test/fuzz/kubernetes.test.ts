import { expect } from "bun:test";
import fc from "fast-check";
import { parseKubeconfig } from "../../src/kubernetes/kubeconfig.ts";
import { secretLogins, secretName } from "../../src/kubernetes/secret.ts";
import { splitLines } from "../../src/kubernetes/split-lines.ts";
import { JsonObject, parseJson } from "../../src/oci/json-document.ts";
import { failureOf, messagesOf } from "../support/failure.ts";
import { holdsSecret, MARK } from "../support/secret-spy.ts";
import { fuzz, fuzzAsync } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { outcomeOf } from "./outcome.ts";

const KUBECONFIG = `current-context: x
contexts:
- name: x
  context: {cluster: x, user: x}
clusters:
- name: x
  cluster: {server: "https://h:1/p", certificate-authority: ca, proxy-url: "http://p"}
users:
- name: x
  user: {token: ${MARK}, username: ${MARK}, password: ${MARK}, client-key-data: ${MARK}, client-certificate: c}
`;
const CONFIG = { auths: { h: { auth: Buffer.from(`u:${MARK}`).toString("base64") } } };
const SECRET = {
  type: "kubernetes.io/dockerconfigjson",
  metadata: { namespace: "a", name: "b", resourceVersion: "1" },
  data: { ".dockerconfigjson": Buffer.from(JSON.stringify(CONFIG)).toString("base64") },
};

function holdsNoSecret(work: () => unknown): void {
  let isRefused = true;
  const error = failureOf(() => {
    work();
    isRefused = false;
    throw new Error("taken");
  });
  // A mutation may make the secret a name of something, and those are quoted.
  const text = messagesOf(error).replace(/"(?:[^"\\]|\\.)*"/g, "");
  if (isRefused) expect(holdsSecret(text)).toBe(false);
}

const kubeconfigs = mutationsOf([
  Buffer.from(KUBECONFIG),
  Buffer.from(JSON.stringify(Bun.YAML.parse(KUBECONFIG))),
]);

fuzz(
  "parseKubeconfig() takes or refuses any file, and quotes no secret",
  { runs: 1000 },
  kubeconfigs,
  (bytes) => {
    const parse = () => parseKubeconfig([{ path: "/k", bytes }]);
    outcomeOf(parse, ["failed-precondition", "unsupported"]);
    holdsNoSecret(parse);
  },
);

const secrets = fc.oneof(
  mutationsOf([Buffer.from(JSON.stringify(SECRET))]),
  mutationsOf([Buffer.from(JSON.stringify(CONFIG))]).map((config) =>
    Buffer.from(
      JSON.stringify({
        ...SECRET,
        data: { ".dockerconfigjson": Buffer.from(config).toString("base64") },
      }),
    ),
  ),
);

fuzz("secretLogins() takes or refuses any secret", { runs: 1000 }, secrets, (bytes) => {
  const read = () => {
    const object = new JsonObject(parseJson(bytes, "secret", { isSecret: true }), "secret");
    return secretLogins(object, secretName(object));
  };
  outcomeOf(read, ["data-loss", "failed-precondition"]);
});

fuzzAsync(
  "splitLines() gives the lines, however they are cut",
  { runs: 300 },
  fc.record({
    text: fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 60 }),
    cuts: fc.array(fc.nat(60)),
  }),
  async ({ text, cuts }) => {
    const places = [0, ...cuts.toSorted((a, b) => a - b), text.length];
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (const [index, place] of places.entries()) {
        yield Buffer.from(text.slice(place, places[index + 1] ?? text.length));
      }
    }
    const lines = await Array.fromAsync(splitLines(chunks(), { maxBytes: 100, what: "it" }));
    expect(lines.map((line) => Buffer.from(line).toString())).toEqual(
      text.split("\n").filter((line) => line !== ""),
    );
  },
);
