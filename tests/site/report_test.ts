import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { explainConv, useArithmetic } from "../../mod.ts";
import {
  EXAMPLES,
  FieldError,
  FIELDS,
  type Fields,
  fieldsOf,
  hashOf,
  requestOf,
} from "../../site/kernel/form.ts";
import { reportOf } from "../../site/kernel/report.ts";
import { present, whyMissing } from "../support/present.ts";

const requestFor = (fields: Partial<Fields>) => requestOf({ ...FIELDS, ...fields });

describe("reportOf()", () => {
  it("says what explainConv says, for every example of the page", () => {
    for (const { name, fields } of EXAMPLES) {
      const request = requestFor(fields);
      const { x, w, params, dtype } = request, report = reportOf(request);
      assertEquals(report.explanation, explainConv(x, w, params, dtype), name);
      assert(present(report.typescript).text.includes("GeneratedConv"), name);
      assertEquals(present(report.schedules).length, 3, name);
      assert(present(report.wasm).modules.length > 0, name);
    }
  });

  it("shows the kernel of the library where there is one", async () => {
    const { text } = present(reportOf(requestFor({})).typescript);
    const file = new URL("../../kernels/generated/kernels/conv_3x3.ts", import.meta.url);
    const library = await Deno.readTextFile(file);
    const [, forward] = text.match(/^(function forward_[\s\S]*?^})/m)!;
    assertStringIncludes(library, forward);
    assertStringIncludes(text, "--x 3,31,31 --w 25,3,3,3 --stride 2 --pad 1 --out");
  });

  it("shows the schedule that is chosen, and what others would cost", () => {
    const { schedules } = reportOf(
      requestFor({ x: "8,64,56,56", w: "64,64,3,3", stride: "1" }),
    );
    const [forward, dx, dw] = present(schedules);
    assertEquals([forward.direction, dx.direction, dw.direction], ["forward", "dx", "dw"]);
    assertEquals(forward.schedule.algorithm, "winograd");
    const cost = (name: string) =>
      forward.estimates.find(({ algorithm }) => algorithm === name)!.microseconds;
    assert(cost("winograd") < cost("direct"));
  });

  it("has an estimate of every algorithm that a pass is scheduled by", () => {
    for (const [x, w] of [["1,512,7,7", "512,512,3,3"], ["1,64,13,13", "256,64,1,1"]]) {
      for (
        const { schedule, estimates } of present(
          reportOf(requestFor({ x, w, stride: "1" })).schedules,
        )
      ) {
        const { algorithm, few, fewBy } = schedule;
        const used = few !== undefined && fewBy !== undefined ? [algorithm, fewBy] : [algorithm];
        for (const one of used) assert(estimates.some(({ algorithm }) => algorithm === one), one);
      }
    }
  });

  it("says why a tier is not asked further", () => {
    using _ = useArithmetic("reproducible");
    const { schedules, tiers } = reportOf(requestFor({ x: "2,5,21,23", w: "3,5,3,3" }));
    assertStringIncludes(tiers[0].reason, "reproducible");
    assertStringIncludes(tiers[1].reason, "the family 3x3-s2");
    for (const { estimates } of present(schedules)) {
      assert(estimates.every(({ algorithm }) => algorithm !== "winograd"));
    }
  });

  it("reports what is too large for a page, but for its modules", () => {
    const report = reportOf(requestFor({ x: "1,64,224,224", w: "64,64,7,7", stride: "1" }));
    assertStringIncludes(whyMissing(report.wasm) ?? "", "too much for a page");
    assertEquals(present(report.schedules).length, 3);
  });

  it("says why a tier refuses, and what is missing then", () => {
    const report = reportOf(requestFor({ x: "1,512,512,512", w: "512,512,3,3" }));
    const [simd] = report.tiers;
    assertEquals([simd.name, report.explanation.tier], [undefined, "generated"]);
    assertStringIncludes(simd.reason, "MB of scratch memory");
    assertEquals(whyMissing(report.wasm), simd.reason);
    assertEquals(whyMissing(report.schedules), simd.reason);
    assert(present(report.typescript).text.length > 1000);
    const huge = reportOf(requestFor({ x: "1,64,8192,8192", w: "1,64,3,3" }));
    assertStringIncludes(whyMissing(huge.typescript) ?? "", "fewer than 1073741824 values");
  });
});

describe("reportOf() without WebAssembly", () => {
  it("says so, and shows the generated kernel", () => {
    const { WebAssembly } = globalThis;
    try {
      Object.assign(globalThis, { WebAssembly: undefined });
      const report = reportOf(requestFor({}));
      assertEquals(report.explanation.tier, "generated");
      const why = "WebAssembly with SIMD does not work here";
      assertStringIncludes(whyMissing(report.wasm) ?? "", why);
      assertStringIncludes(whyMissing(report.schedules) ?? "", why);
      assert(present(report.typescript).text.length > 1000);
    } finally {
      Object.assign(globalThis, { WebAssembly });
    }
  });
});

describe("The form of a shape", () => {
  it("reads what can be typed in, and goes through an address", () => {
    const fields = {
      ...{
        x: "1, 4,8,9",
        w: "2,2,3,5",
        stride: "2,1",
        pad: "0,1,2,3",
        dilation: "1,2",
        groups: "2",
      },
      ...{ dtype: "float64", direction: "dw" },
    };
    assertEquals(requestOf(fields), {
      x: [1, 4, 8, 9],
      w: [2, 2, 3, 5],
      params: { stride: [2, 1], pad: [0, 1, 2, 3], dilation: [1, 2], groups: 2 },
      dtype: "float64",
      direction: "dw",
    });
    assertEquals(fieldsOf(`#${hashOf(fields)}`), fields);
    assertEquals(hashOf(FIELDS), "");
    assertEquals(fieldsOf("#unknown=3"), FIELDS);
    assertEquals(requestOf({ ...FIELDS, pad: " same " }).params.pad, "same");
  });

  const wrong = {
    x: ["1,2,3", "1,2,3,a", "1,-2,3,4", "", "0,1,4,4"],
    w: ["3", "1,2,3,1e3"],
    stride: ["1,2,3", "one"],
    pad: ["1,2,3", "full"],
    dilation: ["1.5"],
    groups: ["1,1", ""],
  };
  for (const [field, texts] of Object.entries(wrong)) {
    it(`names ${field} if it is what cannot be read`, () => {
      for (const text of texts) {
        const error = assertThrows(
          () => requestOf({ ...FIELDS, [field]: text }),
          FieldError,
          field,
        );
        assertEquals((error as FieldError).field, field);
      }
    });
  }
});
