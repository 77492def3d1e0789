/** How a layer's map looks, by day and by night. */
export const MAP_STYLE = `
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--faint:#656d76;--rule:#d8dee4;--bar:#f3f5f7;--local:#2da44e;--remote:#8c959f;--files:#0969da;--straddler:#bf5f00;--ground:#dafbe1}
@media (prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--faint:#8d96a0;--rule:#30363d;--bar:#161b22;--local:#3fb950;--remote:#6e7681;--files:#4493f8;--straddler:#f0883e;--ground:#12351d}}
body{margin:2rem auto;max-width:80rem;padding:0 1.5rem;background:var(--back);color:var(--text);font:14px/1.5 system-ui,sans-serif}
h1{font-size:1.25rem;margin:0 0 1rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0 0 1.5rem}
dt{color:var(--faint)}
dd{margin:0;overflow-wrap:anywhere}
.shapes{position:absolute;width:0;height:0}
.map{display:grid;grid-template-columns:minmax(6rem,max-content) minmax(12rem,1fr) repeat(3,max-content);gap:3px .75rem;align-items:center}
.name{max-width:22rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-family:ui-monospace,monospace;font-size:12px}
.figure{text-align:right;font-variant-numeric:tabular-nums;color:var(--faint);white-space:nowrap}
.axis{display:flex;justify-content:space-between;color:var(--faint);font-size:12px}
.bar{display:block;width:100%;height:18px;background:var(--bar)}
.ground{fill:var(--ground)}
.grid{stroke:var(--rule);stroke-width:1px;vector-effect:non-scaling-stroke;fill:none;pointer-events:none}
.local{fill:var(--local);background:var(--local)}
.remote{fill:var(--remote);background:var(--remote)}
.odd{opacity:.7}
.straddler{fill:var(--straddler);background:var(--straddler)}
.l1,.l2,.l3,.l4{fill:var(--files);background:var(--files)}
.l1{opacity:.35}.l2{opacity:.55}.l3{opacity:.75}
rect:hover{opacity:1;stroke:var(--text);stroke-width:1px;vector-effect:non-scaling-stroke}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;color:var(--faint);font-size:12px}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;vertical-align:-1px}
details{margin-top:1rem}
summary{cursor:pointer;font-weight:600}
table{border-collapse:collapse;margin-top:.5rem}
th,td{padding:.15rem .75rem .15rem 0;border-bottom:1px solid var(--rule);text-align:left}
th{color:var(--faint);font-weight:500}
th.figure,td.figure{text-align:right}
.path{font-family:ui-monospace,monospace;font-size:12px;overflow-wrap:anywhere}
`;
