import { after, describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { affine, convForwardNaive, Net, prepareConv, RandomState, tensor } from "../../../mod.ts";
import { made } from "../../support/kernels.ts";

const { Module, Memory } = WebAssembly;
let refused = 0, memories = 0;

// A host that does not know modules with two memories: found out once, so in a file of its own.
WebAssembly.Module = new Proxy(Module, {
  construct(target, args: [BufferSource]) {
    const module = new target(...args);
    const isMemory = ({ kind }: WebAssembly.ModuleImportDescriptor) => kind === "memory";
    if (Module.imports(module).filter(isMemory).length < 2) return module;
    refused++;
    throw new WebAssembly.CompileError("multiple memories are not allowed");
  },
});
WebAssembly.Memory = new Proxy(Memory, {
  construct(target, args: [WebAssembly.MemoryDescriptor]) {
    memories++;
    return new target(...args);
  },
});

describe("A host without modules of two memories", () => {
  after(() => Object.assign(WebAssembly, { Module, Memory }));

  it("keeps prepared weights in ordinary arrays, and copies them", () => {
    const of = (shape: number[]) =>
      tensor(made(shape.reduce((a, b) => a * b), "float32", "integers"), shape);
    const x = of([1, 64, 7, 7]), w = of([64, 64, 3, 3]), b = of([64]);
    const expected = convForwardNaive(x, w, b, { pad: 1 }).out;
    const prepared = prepareConv(x.shape, w, b, { pad: 1 });
    for (let call = 0; call < 2; call++) assertEquals(prepared.forward(x), expected);

    const random = new RandomState(1);
    const net = new Net({ inputDim: [700], layers: [affine(90)], random });
    const rows = random.randn([2, 700]);
    assertEquals(net.prepare().predict(rows), net.predict(rows));
    // One question, and no memory but the kernels'.
    assertEquals([refused, memories], [1, 1]);
    assert(prepared.name.endsWith("-simd"));
  });
});
