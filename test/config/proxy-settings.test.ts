import { describe, expect, test } from "bun:test";
import { proxySettings } from "../../src/config/proxy-settings.ts";

describe("proxySettings()", () => {
  test("reads the variables in upper case", () => {
    expect(proxySettings({ HTTP_PROXY: "a", HTTPS_PROXY: "b", NO_PROXY: "c" })).toEqual({
      httpProxy: "a",
      httpsProxy: "b",
      noProxy: "c",
    });
  });

  test("reads those in lower case where the others are empty or absent", () => {
    expect(
      proxySettings({
        HTTP_PROXY: "",
        http_proxy: "a",
        https_proxy: "b",
        NO_PROXY: "c",
        no_proxy: "d",
      }),
    ).toEqual({
      httpProxy: "a",
      httpsProxy: "b",
      noProxy: "c",
    });
  });

  test("does not trust HTTP_PROXY in a program that a web server runs", () => {
    expect(proxySettings({ HTTP_PROXY: "a", REQUEST_METHOD: "GET" }).httpProxy).toBeUndefined();
  });
});
