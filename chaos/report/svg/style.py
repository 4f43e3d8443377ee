"""The style sheet: light and dark by the reader's setting, plain paper when printed. Text has a contrast of at least 4.5 to 1."""

from __future__ import annotations

from typing import Final

SHEET: Final = """
:root {
  color-scheme: light dark;
  --page: #f6f6f3; --card: #ffffff; --ink: #1b1d21; --soft: #5b616b; --line: #dcdcd6; --grid: #ebebe6;
  --pass: #17734a; --fail: #b3261e; --unknown: #7a5c00; --badge-ink: #ffffff;
  --up: #cfd6cf; --down: #c8372d; --dead: #3b3f46; --paused: #8d79b8; --leader: #2f6fb3; --dns: #4f9d69; --fault: #b3730a;
  --band: rgba(179, 115, 10, .11); --quiet: rgba(90, 97, 107, .09);
  --seen: #1b1d21; --model: #2f6fb3; --model-soft: rgba(47, 111, 179, .25);
  --detection: #d1581f; --election: #e3a008; --restart: #7456b8; --resync: #c2679b; --dns-phase: #17699b; --client: #6db3dd;
  --unnamed: #b4b7bb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131518; --card: #1b1e23; --ink: #eceef1; --soft: #a5acb7; --line: #33383f; --grid: #272b31;
    --pass: #2f9e6a; --fail: #e0574c; --unknown: #d1a11c; --badge-ink: #0e1013;
    --up: #3c453f; --down: #e8584c; --dead: #98a0aa; --paused: #8d79b8; --leader: #5b9fe3; --dns: #5fb07c; --fault: #e0a23c;
    --band: rgba(224, 162, 60, .14); --quiet: rgba(165, 172, 183, .10);
    --seen: #eceef1; --model: #74b0ec; --model-soft: rgba(116, 176, 236, .28);
    --detection: #e8763f; --election: #e8b53a; --restart: #9c82dc; --resync: #d88ab4; --dns-phase: #4a9fd0; --client: #8fcaec;
    --unnamed: #6d727a;
  }
}
@media print {
  :root { --page: #fff; --card: #fff; }
  body { font-size: 10.5pt; }
  main { padding: 0 !important; max-width: none !important; }
  section, .verdict { box-shadow: none !important; break-inside: avoid-page; }
  tr, figure { break-inside: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 56px; }
header.top { display: flex; justify-content: space-between; gap: 16px; flex-wrap: wrap; color: var(--soft); font-size: 13px; margin-bottom: 10px; }
header.top strong { color: var(--ink); letter-spacing: .02em; }
.verdict { background: var(--card); border: 1px solid var(--line); border-left: 8px solid var(--tone); border-radius: 10px; padding: 24px 28px 22px; }
.verdict .badge { display: inline-block; background: var(--tone); color: var(--badge-ink); font-weight: 700; letter-spacing: .08em; font-size: 13px;
  border-radius: 5px; padding: 3px 10px; vertical-align: 6px; margin-right: 12px; }
.verdict h1 { font-size: 27px; line-height: 1.25; margin: 0; font-weight: 650; letter-spacing: -.01em; text-wrap: balance; }
.verdict .question { color: var(--soft); margin: 0 0 12px; font-size: 15px; }
.verdict .story { margin: 14px 0 0; padding: 0; list-style: none; max-width: 96ch; font-size: 15.5px; }
.verdict .story li { margin-top: 4px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 14px 0 0; padding: 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px 12px; }
.figures dt { color: var(--soft); font-size: 13px; }
.figures dd { margin: 0; font-size: 24px; font-weight: 650; letter-spacing: -.01em; line-height: 1.35; }
.figures dd small { display: block; font-size: 12.5px; font-weight: 400; color: var(--soft); letter-spacing: 0; line-height: 1.4; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px 28px 22px; margin-top: 14px; }
h2 { font-size: 17px; margin: 0 0 2px; font-weight: 650; }
h2 + p.note { margin-top: 0; }
p.note { color: var(--soft); font-size: 13.5px; margin: 0 0 14px; max-width: 90ch; }
figure { margin: 0; overflow-x: auto; }
figure svg { min-width: 620px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; }
svg text.soft { fill: var(--soft); }
svg .strong { font-weight: 650; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12.5px; border-bottom: 1px solid var(--line); padding: 4px 14px 6px 0; white-space: nowrap; }
td { border-bottom: 1px solid var(--grid); padding: 6px 14px 6px 0; vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.num, th.num { text-align: right; white-space: nowrap; }
td.fix, th.fix, .fix { white-space: nowrap; }
td small { display: block; color: var(--soft); font-size: 12.5px; white-space: nowrap; }
td small.inline { display: inline; }
td small.told { white-space: normal; min-width: 24ch; max-width: 46ch; }
td.wide { width: 52%; min-width: 300px; vertical-align: middle; }
.mark { font-weight: 650; white-space: nowrap; }
.mark.pass, .mark.consistent, .mark.healed { color: var(--pass); }
.mark.fail, .mark.inconsistent, .mark.failed, .mark.leftover { color: var(--fail); }
.mark.unknown, .mark.inconclusive, .mark.skipped { color: var(--unknown); }
.soft { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 12px 0 0; padding: 0; list-style: none; font-size: 12.5px; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: 7px; }
svg.swatch { display: inline-block; width: 14px; height: 10px; flex: none; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; }
@media (max-width: 820px) { .two { grid-template-columns: 1fr; } main { padding: 14px 10px 40px; } section, .verdict { padding: 16px 16px 18px; } }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; margin: 8px 0 0; overflow-x: auto; }
details { margin-top: 10px; font-size: 13.5px; }
summary { cursor: pointer; color: var(--soft); }
footer { color: var(--soft); font-size: 12.5px; margin-top: 16px; }
.up { fill: var(--up); } .down { fill: var(--down); } .dead { fill: var(--dead); } .paused { fill: var(--paused); } .leader { fill: var(--leader); }
.in { fill: var(--dns); } .fault { fill: var(--fault); } .band { fill: var(--band); } .quiet { fill: var(--quiet); } .missing { fill: var(--unknown); }
.grid { stroke: var(--grid); stroke-width: 1; } .rule { stroke: var(--line); stroke-width: 1; }
.seen { stroke: var(--seen); fill: var(--seen); } .model { stroke: var(--model); fill: var(--model); } .model-band { fill: var(--model-soft); }
.detection { fill: var(--detection); } .election, .detection-election { fill: var(--election); }
.restart, .resume, .heal { fill: var(--restart); } .resync { fill: var(--resync); }
.dns { fill: var(--dns-phase); } .client { fill: var(--client); } .unnamed { fill: var(--unnamed); } .bar { fill: var(--model); }
"""
