#include "net/inspector.h"

namespace realtime {

constexpr std::string_view kInspectorStyle = R"css(:root {
  --page: #f5f6f8; --card: #fff; --text: #1b1f24; --quiet: #5c6670; --line: #d9dee4; --accent: #1f6f54; --on-accent: #fff;
  --broadcast: #1d5fbf; --change: #1f6f54; --presence: #8a4bb3; --system: #6b7280; --bad: #b3261e; --warn: #9a6700;
  --mono: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1d2125; --text: #e6e9ec; --quiet: #9aa5b0; --line: #343b42; --accent: #4cc79b; --on-accent: #0c1512;
    --broadcast: #7ab0ff; --change: #4cc79b; --presence: #d29bf2; --system: #a3adb8; --bad: #ff8a80; --warn: #e3b341;
  }
}
* { box-sizing: border-box; margin: 0; }
body { background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header {
  display: flex; flex-wrap: wrap; align-items: center; gap: .2rem 1rem; padding: .7rem 1.25rem; background: var(--card);
  border-bottom: 1px solid var(--line);
}
h1 { font-size: 1.1rem; font-weight: 650; }
h1 span { color: var(--quiet); font-weight: 400; }
h2 { font-size: .95rem; font-weight: 600; }
#server { flex: 1; color: var(--quiet); font: .85rem var(--mono); }
#pace { color: var(--quiet); font-size: .85rem; }
#status { padding: .15rem .75rem; border-radius: 1rem; border: 1px solid currentColor; font-size: .85rem; font-weight: 600; color: var(--quiet); }
#status[data-state="on"] { color: var(--accent); }
#status[data-state="wait"] { color: var(--warn); }
#status[data-state="bad"] { color: var(--bad); }
main { display: grid; grid-template-columns: 22rem minmax(0, 1fr); gap: 1rem; padding: 1rem 1.25rem; align-items: start; }
#controls, #view { display: grid; gap: 1rem; min-width: 0; }
fieldset, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1rem 1rem; min-width: 0; }
fieldset { display: grid; gap: .6rem; }
legend { float: left; padding: 0; font-size: .95rem; font-weight: 600; }
legend + * { clear: both; }
fieldset:disabled { opacity: .55; }
label { display: block; font-size: .85rem; color: var(--quiet); }
small { font-size: .8rem; opacity: .85; }
input:not([type="checkbox"]), select, textarea {
  display: block; width: 100%; margin-top: .15rem; padding: .4rem .55rem; border: 1px solid var(--line); border-radius: .35rem;
  background: var(--page); color: var(--text); font: .875rem/1.4 var(--mono); resize: vertical;
}
input::placeholder { color: var(--quiet); opacity: .8; }
input[type="checkbox"] { accent-color: var(--accent); vertical-align: -2px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.note { font-size: .8rem; color: var(--quiet); margin-top: -.35rem; }
.switches { display: flex; gap: 1rem; }
.switches label, #kinds label { color: var(--text); }
.pair { display: grid; grid-template-columns: 1fr 1.4fr; gap: .6rem; margin-top: .5rem; }
summary { cursor: pointer; font-size: .85rem; }
.buttons { display: flex; gap: .5rem; }
button {
  padding: .4rem .9rem; border: 1px solid var(--line); border-radius: .35rem; background: transparent; color: var(--text);
  font: 600 .875rem/1.4 inherit; font-family: inherit; cursor: pointer;
}
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:disabled { opacity: .5; cursor: default; }
#problem { color: var(--bad); font-size: .85rem; overflow-wrap: anywhere; }
#problem:empty { display: none; }
.empty { color: var(--quiet); font-size: .875rem; }
#here-count { color: var(--quiet); font-weight: 400; }
#here { list-style: none; padding: 0; margin-top: .5rem; display: flex; flex-wrap: wrap; gap: .5rem; max-height: 9rem; overflow: auto; }
#here li:not(.empty) { border: 1px solid var(--presence); border-radius: .35rem; padding: .2rem .6rem; font-size: .85rem; max-width: 100%; overflow-wrap: anywhere; }
#here b { color: var(--presence); }
#here code { color: var(--quiet); }
code, pre { font-family: var(--mono); font-size: .825rem; }
.bar { display: flex; align-items: center; flex-wrap: wrap; gap: .4rem 1.25rem; }
#kinds { flex: 1; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
#kinds span { color: var(--quiet); }
#events { list-style: none; padding: 0; margin-top: .75rem; }
#events:empty { display: none; }
#nothing { margin-top: .75rem; }
#events:not(:empty) + #nothing { display: none; }
#events li { border-top: 1px solid var(--line); }
#events summary { display: grid; grid-template-columns: 6.2rem 6.4rem 13rem minmax(0, 1fr); gap: .75rem; align-items: baseline; padding: .35rem 0; list-style: none; }
#events summary::-webkit-details-marker { display: none; }
#events time { color: var(--quiet); font: .8rem var(--mono); }
#events .kind { font-size: .75rem; font-weight: 650; text-transform: uppercase; letter-spacing: .03em; }
#events .what { font-weight: 600; overflow-wrap: anywhere; }
#events .text { color: var(--quiet); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
#events pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--page); border-radius: .35rem; padding: .6rem .75rem; margin: 0 0 .6rem; }
[data-kind="broadcast"] .kind { color: var(--broadcast); }
[data-kind="change"] .kind { color: var(--change); }
[data-kind="presence"] .kind { color: var(--presence); }
[data-kind="system"] .kind { color: var(--system); }
[data-bad] .kind, [data-bad] .what { color: var(--bad); }
#feed:not(.broadcast) [data-kind="broadcast"], #feed:not(.change) [data-kind="change"],
#feed:not(.presence) [data-kind="presence"], #feed:not(.system) [data-kind="system"] { display: none; }
@media (max-width: 60rem) { main { grid-template-columns: minmax(0, 1fr); } }
@media (min-width: 40rem) and (max-width: 60rem) {
  #controls { grid-template-columns: repeat(2, minmax(0, 1fr)); grid-template-rows: auto 1fr; align-items: start; }
  #join { grid-row: span 2; }
}
@media (max-width: 40rem) {
  header, main { padding-left: .75rem; padding-right: .75rem; }
  #status { margin-left: auto; }
  #kinds { order: 1; flex-basis: 100%; }
  #clear { margin-left: auto; }
  #events summary { grid-template-columns: auto minmax(0, 1fr); gap: 0 .75rem; }
  #events .what, #events .text { grid-column: 1 / -1; }
}
)css";

}  // namespace realtime
