/**
 * Plans the layers of a net: their sizes, the names of their parameters, and where a wrong one stands.
 *
 * @module
 */

import type { DType, Tensor } from "../../kernels/tensor.ts";
import { checkTensorShape, checkType, isObject } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import type {
  LayerDefinition,
  LayerPlan,
  ParameterPlan,
  PlannedLayer,
  Planner,
  Run,
} from "../layers/layer.ts";
import { full } from "../tensor.ts";
import { runEach } from "./joint.ts";

/** Whether a value is a layer. */
export function isLayer(value: unknown): value is LayerDefinition {
  return isObject(value) && "plan" in value && typeof value.plan === "function" &&
    "type" in value && typeof value.type === "string";
}

/**
 * Plans the layers of one net, and collects what they need.
 *
 * A parameter's name in the net is its short name and a number: W1, b1, gamma1. The number counts
 * layers with weights W, as in the course; other layers have that of the weights before them, or the
 * next one if their name is taken.
 */
export class NetPlanner implements Planner {
  readonly dtype: DType;
  readonly prepares: boolean;
  /** The parameters by name, in order. */
  readonly params: Record<string, ParameterPlan> = {};
  /** What layers keep beside them, by name. */
  readonly state: Record<string, Tensor> = {};
  /** Whether a layer draws random numbers. */
  draws = false;
  #path = "layers";
  #number = 0;

  constructor(dtype: DType, prepares = false) {
    this.dtype = dtype;
    this.prepares = prepares;
  }

  get path(): string {
    return this.#path;
  }

  plan(layer: LayerDefinition, step: string, inShape: readonly number[]): PlannedLayer {
    const around = this.#path, here = around + step;
    try {
      checkType(isLayer(layer), here, "be a layer, such as conv(8)", layer);
      this.#path = `${here}.${layer.type}`;
      const plan = layer.plan(inShape, this);
      const { params = {}, state = {}, draws = false, parts = [] } = plan;
      const locals = [...Object.keys(params), ...Object.keys(state)];
      const id = this.#numberFor(locals);
      const names = Object.fromEntries(locals.map((local) => [local, `${local}${id}`]));
      const own: Record<string, Tensor> = {};
      for (const [local, param] of Object.entries(params)) this.params[names[local]] = param;
      for (const [local, { shape, init }] of Object.entries(state)) {
        this.state[names[local]] = own[local] = full(shape, init, this.dtype);
      }
      this.draws ||= draws;
      const ownNames = Object.keys(params).map((local) => names[local]);
      const all = [...ownNames, ...parts.flatMap(({ params }) => params)];
      const isNumbered = locals.length > 0 || plan.explain !== undefined;
      const name = (plan.name ?? layer.type) + (isNumbered ? id : "");
      const planned = { path: this.#path, name, layer, plan, names, params: all };
      return running(planned, own, plan.forward);
    } catch (error) {
      throw located(error, this.#path);
    } finally {
      this.#path = around;
    }
  }

  /** The number of a layer's parameters and state, whose names are checked. */
  #numberFor(locals: readonly string[]): number {
    const isTaken = (local: string, i: number) => {
      const isRight = /^[A-Za-z_]+$/.test(local) && locals.indexOf(local) === i;
      checkType(isRight, "A parameter's name", "be letters, and its own", local);
      const name = local + this.#number;
      return name in this.params || name in this.state;
    };
    const taken = locals.map(isTaken).includes(true);
    const starts = locals.includes("W") || locals.length > 0 && this.#number === 0;
    if (taken || starts) this.#number++;
    return this.#number;
  }
}

/** An error of a layer's plan, with its place in the message. */
function located(error: unknown, path: string): unknown {
  const isLocated = !(error instanceof Error) || error.message.startsWith(path);
  if (isLocated) return error;
  error.message = `${path}: ${error.message}`;
  return error;
}

/** A planned layer as it runs: with its parameters and state, its results checked against its plan. */
function running(
  planned: Omit<PlannedLayer, "forward" | "runBy" | "scalesOf">,
  state: Readonly<Record<string, Tensor>>,
  run: LayerPlan["forward"],
): PlannedLayer {
  const { path, plan, names } = planned;
  const locals = Object.keys(plan.params ?? {});
  const paramsOf = (around: Run) =>
    Object.fromEntries(locals.map((local) => [local, around.params[names[local]]]));
  const { scales } = plan;
  const layer: PlannedLayer = {
    ...planned,
    scalesOf: scales && ((around) => scales(paramsOf(around), state)),
    runBy: (other) => running(planned, state, other),
    forward(x, around, ownsInput = false) {
      const { joint } = around, takesJoint = plan.joint || plan.parts !== undefined;
      if (joint !== undefined && !takesJoint) {
        return runEach(layer, x, joint, { ...around, joint: undefined }, ownsInput);
      }
      const params = paramsOf(around);
      const { out, backward } = run(x, params, { ...around, state, ownsInput });
      // An epilogue may run after a layer that selects, where there are fewer values.
      const outShape = plan.epilogue === undefined ? plan.outShape : x.shape.slice(1);
      checkTensorShape(`${path}'s output`, out, [x.shape[0], ...outShape], "its plan");
      around.watch?.(layer, out);
      return {
        out,
        backward(dout, options, ownsDout) {
          const learning = locals.filter((local) => !around.frozen.has(names[local]));
          const isFrozen = locals.length > 0 && learning.length === 0;
          const wanted = isFrozen ? { ...options, params: false as const } : options;
          const { dx, grads = {}, jointGrads = [grads] } = backward(dout, wanted, ownsDout);
          if (joint !== undefined && learning.length > 0 && jointGrads.length !== joint.length) {
            throw new ArgumentTypeError(`${path} must give gradients of each batch: jointGrads`);
          }
          for (const local of learning) {
            for (const [i, { grads, onGradient }] of (joint ?? [around]).entries()) {
              const gradient = jointGrads[i][local];
              checkTensorShape(`${path}'s d${local}`, gradient, params[local].shape, local);
              grads[names[local]] = gradient;
              onGradient?.(names[local], gradient);
            }
          }
          if (options.dx !== false) checkTensorShape(`${path}'s dx`, dx, x.shape, "its input");
          return { dx };
        },
      };
    },
  };
  return layer;
}
