"""The style sheet of every report: light and dark, desk and phone."""

from pseudovideo.report import drawing

CSS = """
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --card: #ffffff; --text: #1f2328; --soft: #626a73;
  --line: #e2e3e0; --stripe: #f5f5f2; --link: #1d5fbf;
  --accent: ACCENT;
  --s0: #2463c9; --s1: #d4570b; --s2: #12876a; --s3: #9a2fae; --s4: #a8790a;
  --s5: #5a6572;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --card: #1c1f23; --text: #e4e6e8; --soft: #9aa2ab;
    --line: #32363c; --stripe: #21252a; --link: #82b1ff;
    --s0: #6ea4ff; --s1: #ff9a57; --s2: #4cc9a4; --s3: #d78be6; --s4: #e0b84a;
    --s5: #a5b0bc;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
header, main, nav ul { max-width: 1640px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 2.5rem; padding-bottom: 1rem; }
h1 { margin: 0; font-size: 2rem; line-height: 1.2; letter-spacing: -0.015em; }
h2 { margin: 2.75rem 0 0.5rem; font-size: 1.3rem; letter-spacing: -0.01em; }
p { margin: 0.4rem 0; max-width: 46rem; }
header p { color: var(--soft); font-size: 1.05rem; }
nav {
  position: sticky; top: 0; z-index: 1; background: var(--page);
  border-bottom: 1px solid var(--line); font-size: 0.9rem;
}
nav ul {
  display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; list-style: none;
  padding-top: 0.55rem; padding-bottom: 0.55rem; white-space: nowrap;
}
nav a { color: var(--link); text-decoration: none; }
nav a:hover { text-decoration: underline; }
main { padding-bottom: 5rem; }
figure { margin: 1.1rem 0; min-width: 0; }
figcaption { color: var(--soft); font-size: 0.9rem; margin-top: 0.4rem; }
img {
  display: block; max-width: 100%; height: auto; image-rendering: pixelated;
}
.row { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: flex-start; }
/* A long caption does not make its picture's column wider. */
.row figcaption { width: 0; min-width: 100%; }
.scroll { overflow-x: auto; }
/* A strip that is too wide begins at its end, where the image is. */
.strip { overflow-x: auto; direction: rtl; }
.strip img { max-width: none; margin-right: auto; }
.strip + figcaption::before {
  content: ""; display: inline-block; width: 0.8em; height: 0.8em;
  margin-right: 0.5em; border: 2px solid var(--accent);
}
.charts {
  display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr));
}
svg {
  display: block; width: 100%; max-width: 640px; height: auto; font-size: 12px;
}
svg text { fill: var(--text); }
svg .tick, svg .xlabel {
  fill: var(--soft); font-variant-numeric: tabular-nums;
}
svg .ylabel { font-weight: 600; font-size: 1.08em; }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--soft); }
svg path {
  fill: none; stroke: currentColor; stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round;
}
.d1 path { stroke-dasharray: 7 6; }
.d2 path { stroke-dasharray: 0 6; stroke-width: 3; }
.d3 path { stroke-dasharray: 14 6 0 6; }
svg circle {
  fill: currentColor; opacity: 0; stroke: transparent; stroke-width: 10;
}
svg circle:hover { opacity: 1; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); }
.s3 { color: var(--s3); } .s4 { color: var(--s4); } .s5 { color: var(--s5); }
.legend {
  display: flex; flex-wrap: wrap; gap: 0.1rem 1.2rem; list-style: none;
  margin: 0; padding: 0; font-size: 0.85rem;
}
.legend li::before {
  content: ""; display: inline-block; width: 24px; height: 3px;
  margin-right: 0.45em; vertical-align: 0.25em; background: currentColor;
}
.legend .d1::before {
  background: repeating-linear-gradient(
    90deg, currentColor 0 7px, transparent 7px 13px);
}
.legend .d2::before {
  background: repeating-linear-gradient(
    90deg, currentColor 0 3px, transparent 3px 6px);
}
.legend .d3::before {
  background: repeating-linear-gradient(
    90deg, currentColor 0 12px, transparent 12px 17px,
    currentColor 17px 20px, transparent 20px 24px);
}
table { border-collapse: collapse; font-size: 0.88rem; }
th, td {
  padding: 0.4rem 0.5rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word;
}
td:first-child:not(.number) { min-width: 6.5rem; }
.wide { font-size: 0.8rem; }
.wide th, .wide td { padding: 0.4rem 0.35rem; }
.wide td:first-child { min-width: min(14rem, 40vw); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody tr:nth-child(even) { background: var(--stripe); }
.number {
  text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
}
th.number { white-space: normal; }
dl {
  display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.4rem;
  font-size: 0.94rem;
}
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
details {
  margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px;
  background: var(--card);
}
summary { padding: 0.55rem 0.9rem; cursor: pointer; }
pre {
  margin: 0; padding: 0.8rem 0.9rem; overflow-x: auto; font-size: 0.82rem;
  border-top: 1px solid var(--line); line-height: 1.45;
}
@media (max-width: 640px) {
  nav { position: static; }
  nav ul { white-space: normal; }
  header, main, nav ul { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 1.5rem; }
  h1 { font-size: 1.6rem; }
  svg { font-size: 14px; }
  td { min-width: 7.5rem; }
  td.number { min-width: 0; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
}
@media print { nav { display: none; } }
""".replace("ACCENT", "#{:02x}{:02x}{:02x}".format(*drawing.ACCENT))
