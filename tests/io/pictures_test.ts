import { after, describe, it } from "@std/testing/bdd";
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { encode as encodePng } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";
import { decodePicture, imageToTensor, openPictures } from "../../io/data.ts";
import { affine, channelStatistics, Net, RandomState, Solver, splitData } from "../../mod.ts";

const folder = await Deno.makeTempDir();
const random = new RandomState(0);
const H = 4, W = 6;

/** Pixels row by row, of one color by class, with noise. */
function pixels(label: number, channels: number): Uint8Array {
  return Uint8Array.from(
    { length: H * W * channels },
    (_, i) => (i % channels === label ? 200 : 40) + random.randint(20),
  );
}

const written = new Map<string, Uint8Array>();
for (const [label, name] of ["cat", "dog"].entries()) {
  await Deno.mkdir(`${folder}/pets/${name}`, { recursive: true });
  for (let n = 0; n < 12; n++) {
    const data = pixels(label, 3), file = `${folder}/pets/${name}/${n}.png`;
    written.set(file, data);
    await Deno.writeFile(file, encodePng({ width: W, height: H, data, channels: 3 }));
  }
}
await Deno.writeTextFile(`${folder}/pets/dog/notes.txt`, "no image");

/** A JPEG image of one color, which it keeps nearly as it is. */
function jpeg(width: number, height: number, color: readonly number[]): Uint8Array<ArrayBuffer> {
  const data = Uint8Array.from({ length: width * height * 4 }, (_, i) => [...color, 255][i % 4]);
  return Uint8Array.from(encodeJpeg({ width, height, data }, 95).data);
}

describe("openPictures()", () => {
  after(() => Deno.remove(folder, { recursive: true }));

  it("reads the images that are picked, plane by plane", () => {
    const { x, y, classes, files } = openPictures(`${folder}/pets`);
    assertEquals(classes, ["cat", "dog"]);
    assertEquals(x.shape, [24, 3, H, W]);
    assertEquals([...y], [...Array(12).fill(0), ...Array(12).fill(1)]);
    const to = new Float32Array(2 * 3 * H * W);
    x.read(Int32Array.of(20, 3), to);
    for (const [i, pick] of [20, 3].entries()) {
      const data = written.get(files[pick])!;
      for (let c = 0; c < 3; c++) {
        for (let p = 0; p < H * W; p++) assertEquals(to[(i * 3 + c) * H * W + p], data[3 * p + c]);
      }
    }
  });

  it("scales by statistics, which can be taken from itself", () => {
    const statistics = channelStatistics(openPictures(`${folder}/pets`).x);
    const { x } = openPictures(`${folder}/pets`, { statistics });
    const after = channelStatistics(x);
    for (const c of [0, 1, 2]) {
      assertAlmostEquals(after.mean[c], 0, 1e-12);
      assertAlmostEquals(after.deviation[c], 1, 1e-12);
    }
  });

  it("trains a net without all images in memory at once", () => {
    const { x, y } = openPictures(`${folder}/pets`);
    const statistics = channelStatistics(x);
    const data = splitData(openPictures(`${folder}/pets`, { statistics }).x, y, { validation: 6 });
    let most = 0;
    const watched = {
      shape: data.xTrain.shape,
      read(picks: Int32Array, to: Float32Array | Float64Array) {
        most = Math.max(most, picks.length);
        data.xTrain.read(picks, to);
      },
    };
    const net = new Net({ inputDim: [3, H, W], layers: [affine(2)] });
    const solver = new Solver(net, { ...data, xTrain: watched }, {
      batchSize: 6,
      shuffle: true,
      numTrainSamples: 4,
      numEpochs: 5,
      verbose: false,
    });
    solver.train();
    assertEquals(solver.bestValAcc, 1);
    assertEquals(most, 6);
  });

  it("reads JPEG images, and gray ones", async () => {
    await Deno.mkdir(`${folder}/mixed/red`, { recursive: true });
    await Deno.writeFile(`${folder}/mixed/red/a.jpeg`, jpeg(16, 8, [220, 30, 60]));
    const gray = Uint8Array.from({ length: 128 }, (_, i) => 2 * i);
    const png = encodePng({ width: 16, height: 8, data: gray, channels: 1 });
    await Deno.writeFile(`${folder}/mixed/red/b.PNG`, png);
    const { x } = openPictures(`${folder}/mixed`), to = new Float64Array(2 * 3 * 128);
    assertEquals(x.shape, [2, 3, 8, 16]);
    x.read(Int32Array.of(0, 1), to);
    for (const [c, value] of [220, 30, 60].entries()) {
      assertAlmostEquals(to[c * 128 + 40], value, 4);
      assertEquals([...to.subarray((3 + c) * 128, (4 + c) * 128)], [...gray]);
    }
    const one = openPictures(`${folder}/mixed`, { channels: 1 });
    assertEquals(one.x.shape, [2, 1, 8, 16]);
    one.x.read(Int32Array.of(0), to);
    assertAlmostEquals(to[0], 0.299 * 220 + 0.587 * 30 + 0.114 * 60, 4);
  });

  it("says which file is wrong, and how", async () => {
    const of = async (name: string, file: string, bytes: Uint8Array<ArrayBuffer>) => {
      await Deno.mkdir(`${folder}/${name}/a`, { recursive: true });
      await Deno.writeFile(
        `${folder}/${name}/a/1.png`,
        encodePng({ width: 2, height: 2, data: new Uint8Array(12), channels: 3 }),
      );
      await Deno.writeFile(`${folder}/${name}/a/${file}`, bytes);
      return () => openPictures(`${folder}/${name}`).x.read(Int32Array.of(1), new Float64Array(12));
    };
    const larger = await of("sizes", "2.jpg", jpeg(8, 8, [0, 0, 0]));
    assertThrows(
      larger,
      RangeError,
      `a/2.jpg must be 2 x 2 like ${folder}/sizes/a/1.png: it is 8 x 8`,
    );
    const text = await of("text", "2.jpg", new TextEncoder().encode("no image"));
    assertThrows(text, RangeError, "a/2.jpg must be a PNG or JPEG image: its first bytes");
    const cut = await of("cut", "2.jpg", jpeg(8, 8, [0, 0, 0]).slice(0, 100));
    assertThrows(cut, RangeError, "a/2.jpg must be a PNG or JPEG image");
    const clear = Uint8Array.from({ length: 16 }, (_, i) => i);
    const seen = await of(
      "clear",
      "2.png",
      Uint8Array.from(encodePng({ width: 2, height: 2, data: clear, channels: 4 })),
    );
    assertThrows(seen, RangeError, "it must be opaque");
    await Deno.mkdir(`${folder}/empty/none`, { recursive: true });
    assertThrows(
      () => openPictures(`${folder}/empty`),
      RangeError,
      "empty/none must have a PNG or",
    );
    assertThrows(() => openPictures(`${folder}/empty/none`), RangeError, "one per class");
    // @ts-expect-error: images have 1 or 3 channels
    assertThrows(() => openPictures(`${folder}/pets`, { channels: 4 }), TypeError, "be 1 or 3");
    const wrong = { statistics: { mean: [0], deviation: [1] } };
    assertThrows(
      () => openPictures(`${folder}/pets`, wrong),
      RangeError,
      "statistics.mean must hold 3",
    );
  });
});

describe("decodePicture()", () => {
  it("takes opaque colors, and no more than 8 bits", () => {
    const data = Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 255);
    const png = encodePng({ width: 2, height: 1, data, channels: 4 });
    assertEquals(decodePicture(png).data, data);
    const deep = encodePng({
      width: 1,
      height: 1,
      data: Uint16Array.of(9),
      channels: 1,
      depth: 16,
    });
    assertThrows(() => decodePicture(deep), TypeError, "up to 8 bits per color: it has 16");
  });
});

describe("imageToTensor()", () => {
  const picture = { width: 2, height: 1, channels: 3, data: Uint8Array.of(10, 20, 30, 40, 50, 60) };

  it("gives a batch of one, plane by plane", () => {
    assertEquals(imageToTensor(picture), {
      data: Float64Array.of(10, 40, 20, 50, 30, 60),
      shape: [1, 3, 1, 2],
    });
  });
  it("makes it gray, scales it, and takes a data type", () => {
    const statistics = { mean: [10], deviation: [2] };
    const { data, shape } = imageToTensor(picture, { channels: 1, statistics, dtype: "float32" });
    const gray = [[10, 20, 30], [40, 50, 60]].map(([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b);
    assertEquals(data, Float32Array.from(gray, (value) => (value - 10) / 2));
    assertEquals(shape, [1, 1, 1, 2]);
  });
  it("refuses options that do not fit", () => {
    const statistics = { mean: [10], deviation: [2] };
    assertThrows(() => imageToTensor(picture, { statistics }), RangeError, "must hold 3 values");
    const wrong = { dtype: "uint8" } as unknown as { dtype: "float32" };
    assertThrows(() => imageToTensor(picture, wrong), TypeError, "dtype must be");
  });
});

describe("Images of another size", () => {
  /** The gray values of an image that was brought to a size. */
  const resized = (rows: readonly (readonly number[])[], size: readonly [number, number]) => {
    const [height, width] = [rows.length, rows[0].length];
    const image = { height, width, channels: 1, data: Uint8Array.from(rows.flat()) };
    return [...imageToTensor(image, { channels: 1, size }).data];
  };

  it("are the middle of the image, as large as the proportions allow", () => {
    const wide = [[0, 10, 20, 30], [40, 50, 60, 70]];
    assertEquals(resized(wide, [2, 2]), [10, 20, 50, 60]);
    const tall = [[9], [10], [20], [9]];
    assertEquals(resized(tall, [2, 1]).length, 2);
    assertEquals(resized([[1], [2], [3]], [1, 1]), [2]);
  });
  it("keep a plain color, and mix neighbors by a triangle as wide as a pixel", () => {
    assertEquals(resized([[7, 7, 7], [7, 7, 7]], [5, 7]), Array(35).fill(7));
    // Twice as large: the new pixels lie a quarter of an old one from its middle.
    assertEquals(resized([[0, 100], [0, 100]], [4, 4]).slice(0, 4), [0, 25, 75, 100]);
    // Half as large: weights 1, 3, 3, 1 of 8, cut off at the edge.
    const row = [0, 80, 160, 240, 80, 0, 0, 0];
    const half = resized(Array(8).fill(row), [4, 4]).slice(0, 4);
    const at = (first: number) =>
      Math.round((row[first] + 3 * row[first + 1] + 3 * row[first + 2] + row[first + 3]) / 8);
    assertEquals(half.slice(1, 3), [at(1), at(3)]);
    assertEquals(half[0], Math.round((3 * row[0] + 3 * row[1] + row[2]) / 7));
  });
  it("are read from a folder, whatever sizes its images have", async () => {
    const mixed = await Deno.makeTempDir();
    await Deno.mkdir(`${mixed}/red`);
    for (const [width, height] of [[3, 5], [8, 4]]) {
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => [250, 0, 10][i % 3]);
      const png = encodePng({ width, height, channels: 3, data });
      await Deno.writeFile(`${mixed}/red/${width}.png`, png);
    }
    const { x } = openPictures(mixed, { size: [2, 4] }), to = new Float64Array(2 * 24);
    assertEquals(x.shape, [2, 3, 2, 4]);
    x.read(Int32Array.of(0, 1), to);
    const plane = [...Array(8).fill(250), ...Array(8).fill(0), ...Array(8).fill(10)];
    assertEquals([...to], [...plane, ...plane]);
    assertThrows(() => openPictures(mixed, { size: [2, 0] }), RangeError, "no empty dimension");
    const wrong = { size: 4 } as unknown as { size: [number, number] };
    assertThrows(() => openPictures(mixed, wrong), TypeError, "size must be an array of sizes");
    await Deno.remove(mixed, { recursive: true });
  });
});
