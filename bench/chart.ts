/**
 * The table of speed-ups as a chart.
 *
 * @module
 */

import type { DType } from "../mod.ts";
import { Plot } from "../tools/plots/drawing.ts";
import { type LegendEntry, palette, titledSvg } from "../tools/plots/figure.ts";
import { logTicks } from "../tools/plots/ticks.ts";
import type { Direction, Kind, Workload } from "./peers/peer.ts";

/** How many times as fast as the naive loops a tier is. */
export interface SpeedUp {
  readonly workload: Workload;
  readonly direction: Direction;
  readonly dtype: DType;
  readonly tier: "generated" | "simd";
  readonly times: number;
}

const KINDS: Readonly<Record<Kind, string>> = {
  conv: "conv",
  convTranspose: "transposed",
  affine: "affine",
  maxPool: "max-pool",
  averagePool: "avg-pool",
};

/** The tiers with their colors and symbols, the faster one last, as it is drawn on top. */
const TIERS = [
  { tier: "generated", color: palette.vermillion, symbol: "square", sign: "squares" },
  { tier: "simd", color: palette.blue, symbol: "circle", sign: "circles" },
] as const;

const DIRECTIONS = { fwd: "forward", bwd: "backward" } as const;

/** Height of a row, and what the axes and the headings take. */
const ROW = 17, AROUND = 80;

/**
 * Speed-ups as SVG: a panel for each data type and direction, a row for each workload.
 *
 * @param speedUps The speed-ups.
 * @returns The text of the SVG.
 */
export function speedUpSvg(speedUps: readonly SpeedUp[]): string {
  const rows = speedUps.map(({ workload, direction, dtype, tier, times }) => ({
    ...{ label: labelOf(workload), direction: DIRECTIONS[direction], dtype, tier, times },
  }));
  const labels = Array.from(new Set(rows.map(({ label }) => label)));
  const all = rows.map(({ times }) => times);
  const [low, high] = [Math.min(1, ...all), Math.max(2, ...all)];
  const panels = new Set(rows.map(({ dtype }) => dtype)).size;
  const place = { x: "times", y: "label", fx: "direction", fy: "dtype" } as const;
  const legend: LegendEntry[] = TIERS.map(({ tier, color, sign }) => ({ text: tier, color, sign }));
  return titledSvg({
    title: "Speed-up by tier",
    subtitle: "whole calls, as a multiple of the naive loops' speed in the same data type",
    legend,
    plot: {
      width: 960,
      height: panels * (labels.length * ROW + 24) + AROUND,
      marginLeft: 290,
      marginRight: 64,
      marginTop: 40,
      x: {
        type: "log",
        label: "times as fast as the naive loops",
        grid: true,
        domain: [low, high],
        insetRight: 44, // for the numbers beside the dots
        ticks: logTicks(low, high, 6),
        tickFormat: (times: number) => `${times}x`,
      },
      y: { domain: labels, label: null, tickSize: 0 },
      fx: { domain: Object.values(DIRECTIONS), label: null, padding: 0.04 },
      fy: { label: null },
      marks: [
        Plot.ruleX([1]),
        ...TIERS.flatMap(({ tier, color, symbol }) => {
          const own = rows.filter((row) => row.tier === tier);
          return [
            Plot.ruleY(own, { ...place, x1: 1, x2: "times", x: undefined, stroke: color }),
            Plot.dot(own, { ...place, fill: color, symbol, r: 4 }),
          ];
        }),
        // Beside the fastest, whatever tier that is.
        Plot.text(
          rows,
          Plot.selectMaxX({
            ...{ ...place, z: ({ label, direction, dtype }) => `${label} ${direction} ${dtype}` },
            ...{ text: ({ times }) => `${times.toFixed(1)}x` },
            ...{ textAnchor: "start", dx: 8, fontSize: 10 },
          }),
        ),
      ],
    },
  });
}

/** `C2 conv 3x3, 32x32x32`: a workload in a few words. */
function labelOf({ name, kind, size, x, groups, dilation, stride }: Workload): string {
  const more = [
    ...groups > 1 ? [groups === x[1] ? "depthwise" : `${groups} groups`] : [],
    ...dilation > 1 ? [`dilation ${dilation}`] : [],
    ...stride > 1 ? [`stride ${stride}`] : [],
  ];
  const image = x.slice(1).join("x");
  return [`${name} ${KINDS[kind]} ${size}x${size} of ${image}`, ...more].join(", ");
}
