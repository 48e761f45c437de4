/**
 * A program that trains in a worker, for runtimes and for pages.
 *
 * @module
 */

import { PACKAGE } from "../../tools/bundle.ts";

/** Trains in a worker and by a solver, and makes a report of both. */
export const TRAINING = `
  import { affine, conv, Net, RandomState, relu, Solver } from "${PACKAGE}";
  import { trainInWorker } from "${PACKAGE}/worker";
  const random = new RandomState(0), x = random.randn([40, 1, 8, 8]), y = random.randint(0, 3, 40);
  const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
  const net = new Net({ inputDim: [1, 8, 8], layers: [conv(4), relu(), affine(3)] });
  const solver = { batchSize: 10, numEpochs: 3 };
  const training = trainInWorker({ net, data, solver, threads: 2 });
  let last;
  for await (last of training);
  const trained = (await training.done).net;
  const { shape } = await training.predict(x);
  training[Symbol.dispose]();
  new Solver(net, data, { ...solver, verbose: false }).train();
  const values = ({ params }) => Object.values(params).map(({ data }) => data.join()).join();
  const report = [values(trained) === values(net), last.iteration, shape].join();`;

/** The report: the same weights, iterations, and the shape of scores. */
export const TRAINED = "true,12,40,3";
