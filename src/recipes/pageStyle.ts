// The style sheet of the report and the comparison: light and dark, from phone to paper.
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --line: #dfe2e7; --ink: #1b1f24; --soft: #59616b; --link: #0b5cad;
  --good: #146c43; --good-back: #e3f4ea; --bad: #a8261f; --bad-back: #fdebe9; --wait: #7a5200; --wait-back: #fdf3dc;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --panel: #1c2026; --line: #323841; --ink: #e4e7eb; --soft: #a2abb6; --link: #7db8f5;
    --good: #7fd6a4; --good-back: #16301f; --bad: #ff9d94; --bad-back: #3a1a18; --wait: #efc468; --wait-back: #33290f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.55; font-size: 1rem;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word;
}
main, header, nav { max-width: 58rem; margin: 0 auto; padding: 0 1.25rem; }
main.wide, header.wide, nav.wide, .wide ~ footer { max-width: 84rem; }
header { padding-top: 2.5rem; }
nav { margin-top: 1.25rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0; padding: .6rem 0;
  border-block: 1px solid var(--line); }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--page); padding: .5rem; }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.2rem); line-height: 1.2; margin: .2rem 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; margin: 2.75rem 0 .9rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
h4, h5, h6 { font-size: 1rem; margin: 1.3rem 0 .4rem; }
.over { margin: 0; color: var(--soft); font-size: .85rem; letter-spacing: .04em; }
.facts { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; align-items: center; color: var(--soft); margin: 0; }
.badge { display: inline-block; border-radius: 99px; padding: .1rem .7rem; font-weight: 600; font-size: .9rem; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.wait { color: var(--wait); background: var(--wait-back); }
.alert { border-left: 4px solid var(--bad); background: var(--bad-back); padding: .7rem 1rem; margin: 1.25rem 0 0;
  border-radius: 0 6px 6px 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: .8rem; margin: 0;
  padding: 0; list-style: none; }
.card { border: 1px solid var(--line); background: var(--panel); border-radius: 10px; padding: .8rem 1rem; }
.card .name { color: var(--soft); font-size: .88rem; }
.card .value { font-size: 1.7rem; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.3; }
.card .range { font-size: .85rem; color: var(--soft); display: flex; gap: .5rem; align-items: center; flex-wrap: wrap; }
table { border-collapse: collapse; font-size: .93rem; min-width: min(24rem, 100%); }
.caption { color: var(--soft); margin: 1.2rem 0 0; font-size: .93rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--line); }
tbody th { font-weight: 500; color: var(--soft); }
.scroll { overflow-x: auto; margin: .8rem 0; }
figure { margin: 1.5rem 0; }
.frame { border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; overflow-y: hidden; }
.plot { width: 100%; min-height: 8rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 0 1.5rem;
  align-items: start; }
.grid figure { min-width: 0; margin: 0 0 1.5rem; }
figcaption { color: var(--soft); font-size: .93rem; margin-top: .5rem; }
figcaption b, .caption b { color: var(--ink); font-weight: 600; }
code, pre { font-family: var(--mono); font-size: .86rem; }
:not(pre) > code { background: var(--panel); border-radius: 4px; padding: .1em .3em; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; margin: .5rem 0;
  overflow: auto; max-height: 26rem; line-height: 1.45; white-space: pre; }
pre.stderr { border-left: 4px solid var(--wait); }
pre.error { border-left: 4px solid var(--bad); }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math, serif; }
math[display=block] { margin: 1rem 0; overflow-x: auto; overflow-y: hidden; font-size: 1.1em; }
blockquote { margin: .8rem 0; padding-left: 1rem; border-left: 3px solid var(--line); color: var(--soft); }
details { margin: .7rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; padding: .2rem 0; width: fit-content; }
summary code { background: none; }
.cell { margin: .4rem 0 1rem; }
iframe { width: 100%; height: 12rem; border: 1px solid var(--line); border-radius: 8px; background: #fff; }
img { max-width: 100%; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { max-width: 58rem; margin: 3rem auto 2rem; padding: .8rem 1.25rem 0; color: var(--soft); font-size: .85rem; }
.ref { color: var(--soft); font-size: .93rem; margin: .4rem 0; }
.differs { background: var(--wait-back); }
@media (max-width: 36rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
}
@media print {
  nav, .skip { display: none; } body { font-size: 10pt; } pre { max-height: none; white-space: pre-wrap; }
  figure, .card, tr { break-inside: avoid; }
}
`;
