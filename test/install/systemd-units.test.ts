import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { serviceUnit, socketUnit } from "../../src/install/systemd-units.ts";
import { describeWith } from "../support/describe-with.ts";
import { runProgram } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

// systemd.exec(5): each of these gives the service a mount namespace of its own.
const NAMESPACE_OPTIONS =
  /^(?:Private(?:Tmp|Devices|Mounts|Users|Network|IPC)|Protect\w+|(?:ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|Bind\w*Paths|TemporaryFileSystem|Root\w+|Mount\w+|LoadCredential\w*|SetCredential\w*|ProcSubset|DynamicUser|PAMName|RestrictFileSystems)=/m;

describe("serviceUnit()", () => {
  const unit = serviceUnit({ program: "/usr/local/bin/sociable" });

  test("has no option that makes a mount namespace", () => {
    expect(NAMESPACE_OPTIONS.exec(unit)).toBeNull();
  });

  test("bounds capabilities and devices", () => {
    expect(unit).toContain("\nCapabilityBoundingSet=CAP_SYS_ADMIN ");
    expect(unit).toContain("\nDeviceAllow=/dev/fuse rw\n");
  });

  test("lets what keeps mounts alive outlive it", () => {
    expect(unit).toMatch(/\nKillMode=process\nOOMPolicy=continue\n/);
  });

  test("quotes a path", () => {
    const program = '/opt/a b/100%/$x"';
    expect(serviceUnit({ program })).toContain('\nExecStart="/opt/a b/100%%/$$x\\"" serve ');
  });
});

describe("socketUnit()", () => {
  test("leaves no socket behind when it is stopped", () => {
    const unit = socketUnit({ socket: "/run/sociable/sociable.sock" });
    expect(unit).toContain("\nRemoveOnStop=yes\n");
  });
});

describeWith(["systemd-analyze"], "systemd", () => {
  test("finds nothing wrong in the units", async () => {
    await using dir = await tempDir();
    const units = dir.join("units");
    await mkdir(units);
    await writeFile(dir.join("units/sociable.service"), serviceUnit({ program: "/bin/true" }));
    await writeFile(
      dir.join("units/sociable.socket"),
      socketUnit({ socket: "/run/sociable/sociable.sock" }),
    );
    const files = ["sociable.service", "sociable.socket"].map((name) => `${units}/${name}`);
    const { code, stderr } = await runProgram(["systemd-analyze", "verify", "--man=no", ...files], {
      env: { SYSTEMD_UNIT_PATH: `${units}:` },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});
