import { expect, test } from "bun:test";
import { isInitialMap } from "../../src/snapshotter/in-user-namespace.ts";

test.each([
  { title: "the initial one", map: "         0          0 4294967295\n", is: true },
  { title: "a container's", map: "         0     100000      65536\n", is: false },
  {
    title: "a user's",
    map: "         0       1000          1\n         1     100000      65536\n",
    is: false,
  },
  { title: "nothing", map: "", is: false },
])("isInitialMap() of $title", ({ map, is }) => {
  expect(isInitialMap(map)).toBe(is);
});
