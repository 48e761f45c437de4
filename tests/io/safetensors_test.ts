import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Net, RandomState, type Tensor, tensor, zeros } from "../../mod.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  resnet18,
  resnet18State,
} from "../../io/safetensors.ts";
import { assertSameBits } from "../support/bits.ts";
import { isMissing, runPython } from "../support/python.ts";
import { SEED } from "../support/kernels.ts";
import { anyTensor } from "../support/tensors.ts";

const skip = await isMissing("torch");

/** A file with any header; the values come after it. */
function file(header: unknown, values: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + text.length + values.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(values, 8 + text.length);
  return bytes;
}

const entry = (dtype: string, shape: unknown, ...data_offsets: unknown[]) => ({
  dtype,
  shape,
  data_offsets,
});

const anyName = fc.string({ unit: "grapheme", maxLength: 20 }).filter((s) => s !== "__metadata__");

const anyFile = fc.tuple(
  fc.dictionary(anyName, anyTensor, { maxKeys: 6 }),
  fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), { maxKeys: 3 }),
);

describe("encodeSafetensors() and decodeSafetensors()", () => {
  it("keep every bit of any tensors and words", () => {
    fc.assert(
      fc.property(anyFile, ([record, metadata]) => {
        const found = decodeSafetensors(encodeSafetensors(record, metadata));
        assertSameBits({ ...found.tensors }, { ...record });
        assertEquals({ ...found.metadata }, { ...metadata });
      }),
      { seed: SEED, numRuns: 300 },
    );
    const special = { x: tensor(Float32Array.of(NaN, -0, Infinity, -Infinity, 1e-45), [5]) };
    assertSameBits(decodeSafetensors(encodeSafetensors(special)).tensors, special);
  });

  it("start the values of every tensor at a multiple of their size", () => {
    fc.assert(
      fc.property(anyFile, ([record, metadata]) => {
        const bytes = encodeSafetensors(record, metadata);
        const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
        assertEquals(length % 8, 0);
        const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
        for (const [name, { data }] of Object.entries(record)) {
          assertEquals(header[name].data_offsets[0] % data.BYTES_PER_ELEMENT, 0);
        }
      }),
      { seed: SEED },
    );
  });

  it("refuse or read every file with one byte of its header changed, and nothing else happens", () => {
    fc.assert(
      fc.property(anyFile, fc.nat(), fc.nat(255), ([record, metadata], at, byte) => {
        const bytes = encodeSafetensors(record, metadata);
        const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
        const changed = bytes.slice();
        changed[at % (8 + length)] = byte;
        let found;
        try {
          found = decodeSafetensors(changed);
        } catch (error) {
          const isOwn = error instanceof TypeError || error instanceof RangeError;
          assert(isOwn && / must | has an unknown /.test(error.message), String(error));
          return;
        }
        // It says something else, such as another name, and says it by the rules: as many tensors,
        // whose values are all of the data.
        const sizes = (tensors: Record<string, Tensor>) => Object.values(tensors).length;
        assertEquals(sizes(found.tensors), sizes(record));
        const again = decodeSafetensors(encodeSafetensors(found.tensors, found.metadata));
        assertSameBits({ ...again.tensors }, { ...found.tensors });
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it("refuse a file that is cut off anywhere, or longer than its header says", () => {
    const bytes = encodeSafetensors({ W: zeros([2, 3]), b: zeros([3], "float32") }, { a: "b" });
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => decodeSafetensors(bytes.subarray(0, length)), RangeError, "must h");
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    assertThrows(() => decodeSafetensors(longer), RangeError, "60 bytes of data, as its header");
  });

  it("refuse what breaks a rule of the format, each for its own reason", () => {
    const one = entry("F32", [1], 0, 4), values = [0, 0, 0, 0];
    const refused = (
      bytes: Uint8Array,
      message: string,
      kind: typeof TypeError | typeof RangeError = TypeError,
    ) => assertThrows(() => decodeSafetensors(bytes), kind, message);
    const long = new Uint8Array(8);
    new DataView(long.buffer).setBigUint64(0, 100_000_001n, true);
    refused(long, "must be at most 100000000 bytes long: it is 100000001", RangeError);
    new DataView(long.buffer).setBigUint64(0, 2n ** 64n - 1n, true);
    refused(long, "must be at most", RangeError);
    refused(file({ a: one, b: entry("F32", [1], 4, 8) }, values), "must have 8 bytes", RangeError);
    refused(file({ a: one, b: one }, values), "b must not overlap", RangeError);
    refused(
      file({ a: entry("F32", [1], 4, 8) }, [...values, ...values]),
      "leave a gap",
      RangeError,
    );
    refused(file({ a: entry("F32", [2], 0, 4) }, values), "shape [2] of F32", RangeError);
    refused(file({ a: entry("F32", [1], 4, 0) }, values), "shape [1] of F32", RangeError);
    refused(
      file({ a: entry("F32", [2 ** 52, 2 ** 52, 0], 0, 0) }),
      "must have the bytes",
      RangeError,
    );
    refused(file({ a: entry("F32", [2 ** 53], 0, 4) }, values), "below 2^53", RangeError);
    refused(file({ a: entry("F32", [-1], 0, 4) }, values), "of 0 or more", RangeError);
    refused(file({ a: entry("F32", [1.5], 0, 4) }, values), "whole sizes", RangeError);
    refused(file({ a: entry("F32", ["1"], 0, 4) }, values), "must hold numbers");
    refused(file({ a: entry("F32", [1], 0) }, values), "must have 2 dimensions");
    refused(file({ a: entry("F8_E4M3", [4], 0, 4) }, values), 'received "F8_E4M3"');
    refused(file({ a: { ...one, strides: [1] } }, values), 'unknown option "strides"');
    refused(
      file({ a: { dtype: "F32", shape: [1] } }, values),
      "must have dtype, shape, data_offsets",
    );
    refused(file({ a: null }, values), "a must be an object");
    refused(file('{"a":{},"\\u0061":{}}'), "must name a once: it does twice");
    const twice = '{"a":{"dtype":"F64","dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    refused(file(twice, values), "must name dtype once");
    refused(file({ __metadata__: { a: 1 } }), "__metadata__.a must be a string");
    refused(file({ __metadata__: null }), "__metadata__ must be an object");
    refused(file('{"\\ud800":{}}'), "A tensor's name must be Unicode");
    refused(file("[]"), "an object that begins with {");
    refused(file(" {}"), "an object that begins with {");
    refused(file("{"), "must be JSON in UTF-8");
    refused(file("{} x"), "must be JSON in UTF-8");
    refused(file("\ufeff{}"), "must be JSON in UTF-8");
    const latin = file('{"\u00e4":1}');
    latin[10] = 0xff;
    refused(latin, "must be JSON in UTF-8");
    refused(file({ a: entry("BOOL", [4], 0, 4) }, [0, 1, 2, 1]), "0 or 1: its value 2", RangeError);
    const large = new Uint8Array(BigUint64Array.of(2n ** 63n, 2n ** 53n + 1n).buffer);
    refused(file({ a: entry("U64", [2], 0, 16) }, large), "float64: its value 1", RangeError);
    assertThrows(() => decodeSafetensors({} as never), TypeError, "bytes must be a Uint8Array");
  });

  it("read names and words as they are, spaces after the header, and no tensor at all", () => {
    const keys = '{"a\\":{":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ';
    assertEquals(decodeSafetensors(file(keys, [7])).tensors, {
      'a":{': tensor(Float32Array.of(7), [1]),
    });
    assertEquals(decodeSafetensors(file("{}")), { tensors: {}, metadata: {} });
    const words = { __proto__x: "y", a: "{" };
    assertEquals(decodeSafetensors(file({ __metadata__: words })).metadata, words);
  });

  it("refuse to write what they would not read", () => {
    const refused = (record: unknown, metadata: unknown, message: string) =>
      assertThrows(() => encodeSafetensors(record as never, metadata as never), TypeError, message);
    refused({ __metadata__: zeros([1]) }, {}, "A tensor's name must be Unicode, and not");
    refused({ "\ud800": zeros([1]) }, {}, "A tensor's name must be Unicode");
    refused({ a: 1 }, {}, "a must be a tensor");
    refused(null, {}, "record must be an object of tensors");
    refused({}, { a: 1 }, "metadata.a must be a string");
    refused({}, { a: "\udc00" }, "metadata.a must be a string of Unicode");
    refused({}, "x", "metadata must be an object");
    assertThrows(
      () => encodeSafetensors({ ["a".repeat(100_000_000)]: zeros([1]) }),
      RangeError,
      "must be at most 100000000 bytes",
    );
  });
});

/** Reads and writes files as the format's description says, with torch's own values. */
const RULES = `
import json, struct, torch
KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
         "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
         "U8": torch.uint8, "BOOL": torch.bool}
NAMES = {kind: name for name, kind in KINDS.items()}

def save(tensors, path, metadata=None):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, x in tensors.items():
        raw = bytes(x.contiguous().reshape(-1).view(torch.uint8).numpy()) if x.dim() else \\
            bytes(x.reshape(1).view(torch.uint8).numpy())
        header[name] = {"dtype": NAMES[x.dtype], "shape": list(x.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)

def load(path):
    raw = open(path, "rb").read()
    length, = struct.unpack("<Q", raw[:8])
    header, tensors = json.loads(raw[8:8 + length]), {}
    metadata = header.pop("__metadata__", {})
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        part = bytearray(raw[8 + length + start:8 + length + end])
        tensors[name] = torch.frombuffer(part, dtype=KINDS[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata
`;

/** torchvision's ResNet-18, of torch.nn's layers alone. */
const RESNET18 = `
from torch import nn

class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or inputs != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))

class ResNet18(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))
`;

describe("PyTorch", { skip }, () => {
  it("writes what decodeSafetensors reads: every dtype that has an exact counterpart", async () => {
    const files = await runPython(`${RULES}
torch.manual_seed(231)
halves = torch.arange(-32768, 32768).to(torch.int16)
tensors = {"F16all": halves.view(torch.float16), "BF16all": halves.view(torch.bfloat16)}
for name, kind in KINDS.items():
    for shape in [], [0], [5], [2, 3, 4]:
        tensors["%s%s" % (name, shape)] = (torch.randn(shape) * 50).to(kind)
save(tensors, "all.safetensors", {"format": "pt"})
save({name: x.double() for name, x in tensors.items()}, "doubles.safetensors")
`);
    const { tensors, metadata } = decodeSafetensors(files["all.safetensors"]);
    const doubles = decodeSafetensors(files["doubles.safetensors"]).tensors;
    assertEquals(metadata, { format: "pt" });
    assertEquals(Object.keys(tensors).length, 42);
    for (const [name, { data, shape }] of Object.entries(tensors)) {
      assertEquals(shape, doubles[name].shape, name);
      assertEquals(Float64Array.from(data), doubles[name].data, name);
      const isDouble = /^(F64|I64|I32)/.test(name);
      assertEquals(data instanceof Float64Array, isDouble, name);
    }
  });

  it("reads what encodeSafetensors writes", async () => {
    const random = new RandomState(2);
    const record = {
      odd: tensor(Float32Array.of(1, -0, NaN), [3, 1]),
      W: random.randn([2, 3, 4]),
      empty: zeros([0, 2]),
      one: tensor(Float64Array.of(0.1), []),
    };
    const files = await runPython(
      `${RULES}
tensors, metadata = load("ours.safetensors")
assert metadata == {"größe": "x"}, metadata
assert {name: (str(x.dtype), list(x.shape)) for name, x in tensors.items() if x.numel()} == {
    "odd": ("torch.float32", [3, 1]), "W": ("torch.float64", [2, 3, 4]), "one": ("torch.float64", [])}
save(tensors, "again.safetensors")
`.replace(
        "part = bytearray",
        "if start == end: tensors[name] = torch.zeros(entry['shape']).double(); continue\n        part = bytearray",
      ),
      { "ours.safetensors": encodeSafetensors(record, { größe: "x" }) },
    );
    const again = decodeSafetensors(files["again.safetensors"]).tensors;
    for (const [name, value] of Object.entries(record)) assertSameBits(again[name], value);
  });

  it("gives the scores of resnet18 with the weights of its state dict, and trains from them", async () => {
    const files = await runPython(`${RULES}${RESNET18}
torch.manual_seed(231)
torch.set_num_threads(1)
net = ResNet18(10)
for module in net.modules():
    if isinstance(module, nn.BatchNorm2d):
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, 0, 0.2)
        nn.init.normal_(module.running_mean, 0, 0.2)
        nn.init.uniform_(module.running_var, 0.5, 1.5)
save(net.state_dict(), "resnet18.safetensors", {"format": "pt"})
x = torch.randn(2, 3, 64, 64)
net.eval()
with torch.no_grad():
    save({"x": x, "scores": net(x)}, "run.safetensors")
`);
    const { tensors } = decodeSafetensors(files["resnet18.safetensors"]);
    const { x, scores } = decodeSafetensors(files["run.safetensors"]).tensors;
    assertEquals(Object.keys(tensors).length, 122);
    const layers = resnet18({ numClasses: 10 });
    const net = new Net({ inputDim: [3, 64, 64], layers, dtype: "float32" });
    assertEquals(net.loadState(resnet18State(tensors)), { missing: [], extra: [] });
    const found = net.predict(x as Tensor<Float32Array>);
    const largest = Math.max(...scores.data.map(Math.abs));
    const error = Math.max(...found.data.map((value, i) => Math.abs(value - scores.data[i])));
    assert(error <= 1e-5 * largest, `off by ${error}, the largest score is ${largest}`);
    const { loss, grads } = net.loss(x as Tensor<Float32Array>, [3, 7]);
    assert(Number.isFinite(loss));
    assertEquals(Object.keys(grads).length, 62);
  });
});

/** A state dict with the names and shapes of torchvision's ResNet-18, every value its own. */
function resnet18Dict(classes: number): Record<string, Tensor> {
  let next = 0;
  const dict: Record<string, Tensor> = {};
  const add = (name: string, shape: readonly number[]) => {
    const size = shape.reduce((product, length) => product * length, 1);
    dict[name] = tensor(
      Float32Array.from({ length: size }, () => (next = (next + 1) % 9973)),
      shape,
    );
  };
  const norm = (name: string, C: number) => {
    for (const part of ["weight", "bias", "running_mean", "running_var"]) {
      add(`${name}.${part}`, [C]);
    }
    add(`${name}.num_batches_tracked`, []);
  };
  add("conv1.weight", [64, 3, 7, 7]);
  norm("bn1", 64);
  let inputs = 64;
  for (const [i, filters] of [64, 128, 256, 512].entries()) {
    for (const j of [0, 1]) {
      const block = `layer${i + 1}.${j}`;
      add(`${block}.conv1.weight`, [filters, inputs, 3, 3]);
      norm(`${block}.bn1`, filters);
      add(`${block}.conv2.weight`, [filters, filters, 3, 3]);
      norm(`${block}.bn2`, filters);
      if (inputs !== filters) {
        add(`${block}.downsample.0.weight`, [filters, inputs, 1, 1]);
        norm(`${block}.downsample.1`, filters);
      }
      inputs = filters;
    }
  }
  add("fc.weight", [classes, 512]);
  add("fc.bias", [classes]);
  return dict;
}

describe("resnet18State()", () => {
  const dict = resnet18Dict(5);
  const net = new Net({
    inputDim: [3, 32, 32],
    layers: resnet18({ numClasses: 5 }),
    dtype: "float32",
  });

  it("gives every tensor of torchvision's names and shapes its place in resnet18's net", () => {
    assertEquals(net.loadState(resnet18State(dict)), { missing: [], extra: [] });
    const { params } = net, { statistics } = net.getState();
    assertEquals(params.W1.data, dict["conv1.weight"].data);
    // A block's projection comes after its two convolutions.
    assertEquals(params.W6.data, dict["layer2.0.conv1.weight"].data);
    assertEquals(params.W8.data, dict["layer2.0.downsample.0.weight"].data);
    assertEquals(params.gamma8.data, dict["layer2.0.downsample.1.weight"].data);
    assertEquals(params.beta20.data, dict["layer4.1.bn2.bias"].data);
    assertEquals(statistics.runningVar20.data, dict["layer4.1.bn2.running_var"].data);
    assertEquals(statistics.runningMean2.data, dict["layer1.0.bn1.running_mean"].data);
    assertEquals(params.W21.shape, [512, 5]);
    assertEquals(params.W21.data[3 * 5 + 2], dict["fc.weight"].data[2 * 512 + 3]);
    assertEquals(params.b21.data, dict["fc.bias"].data);
  });

  it("names every tensor that is missing or extra, by torchvision's names", () => {
    const { "fc.bias": _, "layer3.0.conv1.weight": _w, ...rest } = dict;
    const error = assertThrows(
      () => resnet18State({ ...rest, "layer3.2.conv1.weight": zeros([1]) }),
      TypeError,
    );
    assert(error.message.includes("missing: layer3.0.conv1.weight, fc.bias; "), error.message);
    assert(error.message.endsWith("extra: layer3.2.conv1.weight"), error.message);
    assertThrows(() => resnet18State(null as never), TypeError, "record must be an object");
    assertThrows(
      () => resnet18State({ ...dict, "bn1.weight": 1 } as never),
      TypeError,
      "bn1.weight must be a tensor",
    );
    const wrong = resnet18State({ ...dict, "conv1.weight": zeros([64, 3, 3, 3]) });
    assertThrows(() => net.loadState(wrong), RangeError, "W1 [64,3,3,3] for [64,3,7,7]");
    assertThrows(() => resnet18({ numClasses: 0 }), RangeError, "numClasses");
  });
});
