import { type BenchCase, ourName } from "./case.ts";
import { formatNumber } from "./measure.ts";
import { type Row, verdictsOf } from "./results.ts";

const widthPx = 860;
const barsFromPx = 190;
const barsWidthPx = 400;
const lineHeightPx = 18;
const titleHeightPx = 34;
/** Bars are cut here, in multiples of ours, or one peer that wins by far would make all others too short to see. */
const longestBar = 1.5;
const markPx = barsFromPx + barsWidthPx / longestBar;

/** Its own card, in the colours that the reader's page asks for: an image does not know the page that it stands on. */
const style = `
  .card { fill: #ffffff; stroke: #d0d7de }
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .quiet { fill: #59636e }
  .ours { fill: #0969da }
  .peer { fill: #afb8c1 }
  .winner { fill: #bc4c00 }
  .mark { stroke: #59636e; stroke-dasharray: 2 3 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .ours { fill: #4493f8 }
    .peer { fill: #57606a }
    .winner { fill: #f0883e }
    .mark { stroke: #9198a1 }
  }`;

/**
 * The results as SVG: for each case a bar for each subject, as long as the subject is good compared with ours; peers that win have
 * a colour of their own.
 */
export function formatChart(results: ReadonlyMap<BenchCase, readonly Row[]>, caption: string): string {
  let top = 56;
  const groups: string[] = [];
  for (const [benchCase, rows] of results) {
    for (const name of new Set(rows.map((row) => row.case))) {
      const own = rows.filter((row) => row.case === name);
      groups.push(formatGroup(benchCase, own, top));
      top += titleHeightPx + own.length * lineHeightPx;
    }
  }
  const height = top + 20;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${widthPx}" height="${height}" viewBox="0 0 ${widthPx} ${height}" role="img" aria-label="Benchmark of Convoke and its peers">
<style>${style}
</style>
<rect class="card" x="0.5" y="0.5" width="${widthPx - 1}" height="${height - 1}" rx="6"/>
<text x="16" y="26" class="title">How good each is, as a share of Convoke: longer is better, Convoke is the dotted line</text>
<text x="16" y="44" class="quiet">${escapeXml(caption)}</text>
${groups.join("\n")}
</svg>
`;
}

function formatGroup(benchCase: BenchCase, rows: readonly Row[], top: number): string {
  const ours = ourName(benchCase);
  const first = top + titleHeightPx - 8;
  const verdicts = verdictsOf(benchCase, rows);
  const bars = rows.map((row, index) => {
    const isOurs = row.subject === ours;
    const own = verdicts.find(({ peer }) => isOurs && peer === undefined);
    return formatBar(row, { isOurs, promise: own?.promise, top: first + index * lineHeightPx });
  });
  const bottom = first + rows.length * lineHeightPx;
  const name = `${benchCase.title} (${benchCase.unit}${benchCase.better === "lower" ? ", lower is better" : ""})`;
  const part = benchCase.parts === undefined ? "" : `${rows[0]?.case.slice(benchCase.name.length + 1)} · `;
  return `<text x="16" y="${top + 18}" class="title">${escapeXml(part + name)}</text>
${bars.join("\n")}
<line class="mark" x1="${markPx.toFixed(1)}" x2="${markPx.toFixed(1)}" y1="${first}" y2="${bottom - 4}"/>`;
}

interface BarInit {
  readonly isOurs: boolean;
  /** What ours has to be by itself. */
  readonly promise: string | undefined;
  readonly top: number;
}

function formatBar(row: Row, { isOurs, promise, top }: BarInit): string {
  const share = isOurs ? 1 : (Object.values(row.ratios)[0] ?? 0);
  const kind = isOurs ? "ours" : share > 1 ? "winner" : "peer";
  const length = Math.max(1, (Math.min(share, longestBar) / longestBar) * barsWidthPx);
  const label = Math.max(barsFromPx + length, markPx) + 6; // right of the line, which would cross it
  const cut = share > longestBar ? " →" : "";
  const alone = promise === undefined ? "" : ` · promised: ${promise}`;
  const ratio = isOurs ? alone : share > 1 ? ` · wins, ${share.toFixed(2)} × ours` : ` · ours is ${(1 / share).toFixed(2)} ×`;
  return `<text x="${barsFromPx - 8}" y="${top + 11}" text-anchor="end">${escapeXml(`${row.subject} ${row.version}`)}</text>
<rect class="${kind}" x="${barsFromPx}" y="${top}" width="${length.toFixed(1)}" height="${lineHeightPx - 4}" rx="2"/>
<text x="${label.toFixed(1)}" y="${top + 11}" class="quiet">${formatNumber(row.value)}${ratio}${cut}</text>`;
}

function escapeXml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
