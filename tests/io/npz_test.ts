import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { RandomState, tensor, zeros } from "../../mod.ts";
import { decodeNpy, decodeNpz, encodeNpy, encodeNpz } from "../../io/npz.ts";
import { assertSameBits } from "../support/bits.ts";
import { isMissing, runPython } from "../support/python.ts";
import { SEED } from "../support/kernels.ts";
import { anyTensor } from "../support/tensors.ts";

const skip = await isMissing("numpy");

/** The bytes of a .npy file with a header. */
function npy(header: string, values: ArrayLike<number>, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = version === 1
    ? [text.length & 255, text.length >> 8]
    : [text.length & 255, text.length >> 8, 0, 0];
  return Uint8Array.from([
    ...[0x93, ...new TextEncoder().encode("NUMPY"), version, 0],
    ...[...length, ...text, ...Array.from(values)],
  ]);
}

const header = (descr: string, shape: string, fortran = "False") =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

describe("encodeNpy() and decodeNpy()", () => {
  it("keep every bit of any tensor", () => {
    fc.assert(
      fc.property(anyTensor, (x) => assertSameBits(decodeNpy(encodeNpy(x)), x)),
      { seed: SEED },
    );
    const special = tensor(Float32Array.of(NaN, -0, Infinity, -Infinity, 1e-45), [5]);
    assertSameBits(decodeNpy(encodeNpy(special)), special);
  });

  it("start the values at a multiple of 64 bytes, as numpy does", () => {
    for (const shape of [[], [1], [2, 3], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]) {
      const bytes = encodeNpy(zeros(shape, "float32"));
      const size = shape.reduce((product, length) => product * length, 4);
      assertEquals((bytes.length - size) % 64, 0);
      assertEquals(bytes[bytes.length - size - 1], 10);
    }
  });

  it("read keys in any order, and what Python 2 wrote", () => {
    const bytes = npy(`{"shape":(1L, 2L),"descr":"|u1",'fortran_order':False}`, [7, 8]);
    assertEquals(decodeNpy(bytes), tensor(Float32Array.of(7, 8), [1, 2]));
  });

  it("refuse what is not understood, and say what it is", () => {
    const refused = (bytes: Uint8Array, kind: typeof TypeError, message: string) =>
      assertThrows(() => decodeNpy(bytes), kind, message);
    refused(npy(header("'|O'", "(1,)"), [1]), TypeError, "it is of pickled Python objects");
    refused(npy(header("'<c8'", "(1,)"), new Uint8Array(8)), TypeError, "it is <c8");
    refused(npy(header("'<U2'", "(1,)"), new Uint8Array(8)), TypeError, "it is <U2");
    refused(npy(header("'|f8'", "(1,)"), new Uint8Array(8)), TypeError, "it is |f8");
    const record = "[('a', '<f4'), ('b', '<i2')]";
    refused(npy(header(record, "(1,)"), new Uint8Array(6)), TypeError, `it is ${record}`);
    refused(npy(header("'|u1'", "(3,)"), [1, 2]), RangeError, "it has 2");
    refused(npy(header("'|u1'", "(1,)"), [1, 2]), RangeError, "it has 2");
    const huge = "(9007199254740993, 0)";
    refused(npy(header("'|u1'", huge), []), TypeError, "dict of descr, fortran_order and shape");
    const overflowing = "(4503599627370496, 4503599627370496, 0)";
    refused(npy(header("'|u1'", overflowing), []), RangeError, "must have the bytes of its shape");
    refused(npy(header("'|b1'", "(2,)"), [1, 2]), RangeError, "its value 1 is not");
    const large = new Uint8Array(BigInt64Array.of(2n ** 53n, 2n ** 53n + 1n).buffer);
    refused(npy(header("'<i8'", "(2,)"), large), RangeError, "exact in float64: its value 1");
    for (
      const text of [
        "",
        "{}",
        "[]",
        "{'descr': '|u1', 'shape': (1,), }",
        header("'|u1'", "(1,)").replace("}", "'x': 'y', }"),
        header("'|u1'", "(1,)").replace("}", "'descr': '|u1', }"),
        header("'|u1'", "(1,)") + "x",
        header("'|u1'", "(1,,)"),
        header("'|u1'", "(-1,)"),
        header("'|u1'", "(1 2,)"),
        header("'|u1'", "[1]"),
        header("'|u1'", "(1,)", "0"),
        header("__import__('os')", "(1,)"),
      ]
    ) {
      assertThrows(() => decodeNpy(npy(text, [1])), TypeError, "The header of bytes", text);
    }
    refused(npy(header("'|u1'", "(1,)"), [1], 4), TypeError, "of version 1.0 to 3.0: it is 4.0");
    refused(new Uint8Array(3), TypeError, "must be a .npy file");
    refused(encodeNpy(zeros([2])).subarray(0, 40), RangeError, "its whole header");
    assertThrows(() => decodeNpy([1] as never), TypeError, "bytes must be a Uint8Array");
    assertThrows(() => encodeNpy([1] as never), TypeError, "tensor must be a tensor");
  });
});

describe("encodeNpz() and decodeNpz()", () => {
  it("keep every bit, compressed or not, and the same tensors are the same bytes", () => {
    const names = fc.uniqueArray(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: 4 });
    fc.assert(
      fc.property(names, anyTensor, fc.boolean(), (keys, x, compress) => {
        const record = Object.fromEntries(keys.map((key) => [`t${key}`, x]));
        const bytes = encodeNpz(record, { compress });
        assertSameBits(decodeNpz(bytes), record);
        assertEquals(encodeNpz(record, { compress }), bytes);
      }),
      { seed: SEED },
    );
    const record = { W: zeros([100, 100]) };
    assert(encodeNpz(record, { compress: true }).length < 1000);
  });

  it("notice every flipped bit of a value, and never fail otherwise than by their own errors", () => {
    const record = { W: new RandomState(0).randn([3, 4]), b: zeros([4], "float32") };
    for (const compress of [false, true]) {
      const bytes = encodeNpz(record, { compress });
      for (let i = 0; i < bytes.length; i++) {
        for (const flip of [1, 0x80]) {
          const damaged = bytes.slice();
          damaged[i] ^= flip;
          try {
            // Where the archive holds what nobody reads, such as the day, nothing is lost.
            assertSameBits(Object.values(decodeNpz(damaged)), Object.values(record));
          } catch (error) {
            const isOwn = error instanceof TypeError || error instanceof RangeError;
            assert(isOwn && /must|damaged/.test(error.message), `byte ${i}: ${error}`);
          }
        }
      }
      for (let length = 0; length < bytes.length; length++) {
        assertThrows(() => decodeNpz(bytes.subarray(0, length)), TypeError, "a whole zip archive");
      }
    }
  });

  it("read archives of the large kind, zip64", () => {
    const record = { W: new RandomState(0).randn([3, 4]), b: zeros([4], "float32") };
    assertSameBits(decodeNpz(zip64(encodeNpz(record, { compress: true }))), record);
  });

  it("refuse what is not a file of arrays", () => {
    assertThrows(() => decodeNpz(encodeNpy(zeros([2]))), TypeError, "a whole zip archive");
    assertThrows(() => decodeNpz("x" as never), TypeError, "bytes must be a Uint8Array");
    assertThrows(() => encodeNpz(null as never), TypeError, "record must be an object of tensors");
    assertThrows(() => encodeNpz({ x: 1 } as never), TypeError, "x must be a tensor");
    const zip = { compres: true } as never;
    assertThrows(() => encodeNpz({}, zip), TypeError, 'unknown option "compres"');
    assertEquals(decodeNpz(encodeNpz({})), {});
  });
});

const doubles = (bytes: Uint8Array<ArrayBuffer>) => new Float64Array(bytes.buffer);

/** An archive whose sizes and places stand in the fields that large ones have. */
function zip64(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer), end = bytes.length - 22;
  const count = view.getUint16(end + 10, true), start = view.getUint32(end + 16, true);
  const entries: number[] = [];
  for (let i = 0, at = start; i < count; i++) {
    const size = 46 + view.getUint16(at + 28, true);
    const extra = new DataView(new ArrayBuffer(28));
    extra.setUint16(0, 1, true);
    extra.setUint16(2, 24, true);
    const entry = bytes.slice(at, at + size), fields = new DataView(entry.buffer);
    for (const [j, field] of [24, 20, 42].entries()) {
      extra.setBigUint64(4 + 8 * j, BigInt(fields.getUint32(field, true)), true);
      fields.setUint32(field, 0xffffffff, true);
    }
    fields.setUint16(30, 28, true);
    entries.push(...entry, ...new Uint8Array(extra.buffer));
    at += size;
  }
  const end64 = start + entries.length;
  const tail = new DataView(new ArrayBuffer(56 + 20 + 22));
  tail.setUint32(0, 0x06064b50, true);
  tail.setBigUint64(32, BigInt(count), true);
  tail.setBigUint64(48, BigInt(start), true);
  tail.setUint32(56, 0x07064b50, true);
  tail.setBigUint64(64, BigInt(end64), true);
  new Uint8Array(tail.buffer).set(bytes.subarray(end), 76);
  tail.setUint16(76 + 10, 0xffff, true);
  tail.setUint32(76 + 16, 0xffffffff, true);
  return Uint8Array.from([...bytes.subarray(0, start), ...entries, ...new Uint8Array(tail.buffer)]);
}

describe("numpy", { skip }, () => {
  it("writes what decodeNpy reads: types, orders of bytes and of dimensions, versions", async () => {
    const files = await runPython(`
import numpy as np
random = np.random.RandomState(231)
n = 0
for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]:
    for order in "<>":
        for shape in [(), (0,), (5,), (2, 3), (2, 3, 4), (2, 1, 3, 2)]:
            values = random.randn(*shape) * 50
            if kind[0] == "u": values = abs(values)
            x = np.asarray(values).astype(order + kind)
            for version in [(1, 0), (2, 0), (3, 0)] if shape == (2, 3) else [(1, 0)]:
                for layout in "CF":
                    name = "x%d-%s" % (n, "x".join(map(str, shape)))
                    with open(name + ".npy", "wb") as file:
                        np.lib.format.write_array(file, np.asarray(x, order=layout), version, allow_pickle=False)
                    np.ascontiguousarray(x).astype("<f8").tofile(name + ".bin")
                    n += 1
halves = np.arange(65536, dtype="<u2").view("<f2")
np.save("halves-65536.npy", halves)
halves.astype("<f8").tofile("halves-65536.bin")
`);
    const names = Object.keys(files).filter((name) => name.endsWith(".npy"));
    assertEquals(names.length, 12 * 2 * (6 + 2) * 2 + 1);
    for (const name of names) {
      const { data, shape } = decodeNpy(files[name]);
      const stem = name.slice(0, -4), sizes = stem.split("-")[1];
      assertEquals(shape, sizes === "" ? [] : sizes.split("x").map(Number), name);
      assertEquals(Float64Array.from(data), doubles(files[`${stem}.bin`]), name);
    }
  });

  it("writes what decodeNpz reads: savez and savez_compressed", async () => {
    const files = await runPython(`
import numpy as np
x = np.arange(6000, dtype="<f4").reshape(20, 300)
for name, save in ("stored", np.savez), ("compressed", np.savez_compressed):
    save(name + ".npz", x, W=x.T, **{"layer1.0/conv.weight": x[:2], "größe": np.float64(1.5)})
`);
    const x = tensor(Float32Array.from({ length: 6000 }, (_, i) => i), [20, 300]);
    for (const name of ["stored.npz", "compressed.npz"]) {
      const found = decodeNpz(files[name]);
      assertEquals(Object.keys(found).sort(), ["W", "arr_0", "größe", "layer1.0/conv.weight"]);
      assertEquals(found.arr_0, x);
      assertEquals(found.W.shape, [300, 20]);
      assertEquals(found.W.data[1], 300);
      assertEquals(found.größe, tensor(Float64Array.of(1.5), []));
      assertEquals(found["layer1.0/conv.weight"].data, x.data.subarray(0, 600));
    }
  });

  it("reads what encodeNpy and encodeNpz write", async () => {
    const a = new RandomState(1).randn([2, 3, 4]);
    const b = tensor(Float32Array.of(NaN, -0, 3), [3]), c = tensor(Float64Array.of(7), []);
    const files = await runPython(
      `
import numpy as np
assert np.load("a.npy").dtype == np.dtype("<f8") and np.load("a.npy").flags.c_contiguous
np.load("a.npy").tofile("a.bin")
for name in "stored", "compressed":
    with np.load(name + ".npz") as z:
        assert sorted(z.files) == ["a", "b", "größe"], z.files
        assert z["a"].shape == (2, 3, 4) and z["b"].shape == (3,) and z["größe"].shape == ()
        assert z["b"].dtype == np.dtype("<f4") and z["größe"] == 7
        np.testing.assert_array_equal(z["a"], np.load("a.npy"))
        z["b"].tofile(name + ".bin")
`,
      {
        "a.npy": encodeNpy(a),
        "stored.npz": encodeNpz({ a, b, größe: c }),
        "compressed.npz": encodeNpz({ a, b, größe: c }, { compress: true }),
      },
    );
    assertEquals(doubles(files["a.bin"]), a.data);
    for (const name of ["stored.bin", "compressed.bin"]) {
      assertEquals(new Float32Array(files[name].buffer), b.data);
    }
  });
});
