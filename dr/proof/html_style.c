/*
 * html_style.c - how the page looks: on a screen by day and by night, on a phone, and on paper.
 *
 * Colours are variables; night changes the variables, and paper sets them back to black on white, last. Phases
 * and lines of plots have colours that stay apart for colour-blind readers (after Okabe and Ito) and are
 * told apart without colour, too: phases by their number, lines by their dashes.
 */
#include "dr/proof/html_work.h"

#define LIGHT                                                                                     \
    "--ink:#1a1c20;--soft:#565c66;--line:#d3d7de;--back:#fff;--tile:#f5f6f8;--good:#14613a;"      \
    "--bad:#a3161a;--open:#744700;--on:#fff;--c0:#5b6370;--c1:#8a5a00;--c2:#b3261e;--c3:#6d4aa8;" \
    "--c4:#1f6fb2;--c5:#0b7a75;--c6:#5a7300;--c7:#2f5d34;--c8:#3d4148;--s0:#1f6fb2;--s1:#b35900;" \
    "--s2:#0b7a75;--s3:#8e3b8e;--s4:#4b5563;--s5:#a3161a"

#define DARK                                                                                      \
    "--ink:#e8eaed;--soft:#a6acb6;--line:#3a3f47;--back:#15171a;--tile:#1e2126;--good:#6fcf97;"   \
    "--bad:#ff8a80;--open:#f2c14e;--on:#101215;--c0:#9aa3b0;--c1:#d9a441;--c2:#f28b82;"           \
    "--c3:#b79ce6;--c4:#7fb0e6;--c5:#5cc4bd;--c6:#a9c05a;--c7:#7fc48a;--c8:#c3c7ce;--s0:#7fb0e6;" \
    "--s1:#f0a35e;--s2:#5cc4bd;--s3:#d58fd5;--s4:#b6bcc6;--s5:#ff8a80"

#define PAPER \
    "--ink:#000;--soft:#333;--line:#999;--back:#fff;--tile:#fff;--good:#000;--bad:#000;--open:#000"

static const char text_style[] =
    ":root{color-scheme:light dark;" LIGHT "}\n"
    "@media(prefers-color-scheme:dark){:root{" DARK "}}\n"
    /* -- text -- */
    "*{box-sizing:border-box}\n"
    "body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--back);"
    "max-width:64rem;margin:0 auto;padding:1rem;overflow-wrap:break-word}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:.2rem 0}\n"
    "h2{font-size:1.2rem;margin:2rem 0 .5rem;padding-top:.5rem;border-top:2px solid var(--line)}\n"
    "h3{font-size:1rem;margin:1.2rem 0 .3rem}\n"
    "p{margin:.3rem 0}ul,ol{margin:.3rem 0;padding-left:1.4rem}.long{display:inline-block;min-width:7em;max-width:100%;overflow-wrap:anywhere}.one{white-space:nowrap}li{margin:.2rem 0}\n"
    "a{color:inherit}bdi,th,td,dd,li,p{unicode-bidi:isolate}\n"
    "code{font:.87em/1.4 ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "code.block{display:block;font-size:.8em;color:var(--soft)}\n"
    "pre{margin:.3rem 0;padding:.6rem;background:var(--tile);border:1px solid var(--line);"
    "white-space:pre-wrap;overflow-wrap:anywhere}\n"
    ".soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}\n"
    ".badge{display:inline-block;border:1.5px solid;border-radius:.25rem;padding:0 .4em;"
    "text-transform:uppercase;font-size:.85em;letter-spacing:.02em}\n"
    /* -- head -- */
    ".kind{margin:0;color:var(--soft);text-transform:uppercase;letter-spacing:.06em;font-size:.85rem}\n"
    ".why{font-size:1.1rem}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.6rem;"
    "margin:1rem 0}\n"
    ".tile{border:1px solid var(--line);background:var(--tile);border-radius:.4rem;padding:.5rem .7rem}\n"
    ".tile p{margin:0}.tile .name{color:var(--soft);font-size:.85rem}"
    ".tile .value{font-size:1.2rem;font-weight:600}.tile .say{margin-top:.2rem}.value .soft{font-size:1rem}\n"
    ".tile small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}\n"
    "nav ol{columns:2 14rem;font-size:.93rem;padding-left:1.9rem}nav li{margin:0;padding:.1rem 0}\n";

static const char table_style[] =
    "table{border-collapse:collapse;width:100%;margin:.4rem 0 1rem}\n"
    "caption{text-align:left;color:var(--soft);font-size:.9em;padding:.1rem 0}\n"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;"
    "border-bottom:1px solid var(--line);font-weight:400}\n"
    "thead th{font-weight:600;color:var(--soft);font-size:.93em}tbody th{font-weight:600}\n"
    "dl{margin:.3rem 0}dl>div{display:grid;grid-template-columns:11rem 1fr;gap:.8rem;padding:.2rem 0;"
    "border-bottom:1px solid var(--line)}dt{color:var(--soft)}dd{margin:0}\n";

static const char plot_style[] =
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));"
    "gap:1rem 1.6rem;align-items:start}\n"
    "figure{margin:.6rem 0;max-width:34rem}figcaption{font-weight:600;margin-bottom:.2rem}\n"
    "figure p{font-size:.87rem;color:var(--soft)}figure .none{border:1px dashed var(--line);"
    "padding:1.2rem .8rem}\n"
    "figure svg{display:block;width:100%;height:auto}svg.spark{width:7rem;height:auto;display:block}\n"
    "svg text{font:10.5px system-ui,sans-serif;fill:var(--ink)}svg .m{text-anchor:middle}"
    "svg .e{text-anchor:end}svg .on{fill:var(--on);font-weight:600}svg .soft{fill:var(--soft)}\n"
    ".ax{stroke:var(--soft);stroke-width:1}.gr{stroke:var(--line);stroke-width:.7}\n"
    ".ob{stroke:var(--bad);stroke-width:1.6;stroke-dasharray:5 3}svg .obt{fill:var(--bad)}svg .obt,svg .halo{paint-order:stroke;stroke:var(--back);"
    "stroke-width:3px;stroke-linejoin:round}\n"
    ".f{stroke:var(--back);stroke-width:.8}"
    ".c0{fill:var(--c0);background:var(--c0)}.c1{fill:var(--c1);background:var(--c1)}"
    ".c2{fill:var(--c2);background:var(--c2)}.c3{fill:var(--c3);background:var(--c3)}"
    ".c4{fill:var(--c4);background:var(--c4)}.c5{fill:var(--c5);background:var(--c5)}"
    ".c6{fill:var(--c6);background:var(--c6)}.c7{fill:var(--c7);background:var(--c7)}"
    ".c8{fill:var(--c8);background:var(--c8)}\n"
    ".s{fill:none;stroke-width:1.1;stroke-linejoin:round}.s0{stroke:var(--s0)}"
    ".s1{stroke:var(--s1);stroke-dasharray:6 2.5}.s2{stroke:var(--s2);stroke-dasharray:2 2}"
    ".s3{stroke:var(--s3);stroke-dasharray:8 2 2 2}.s4{stroke:var(--s4);stroke-dasharray:1 3}"
    ".s5{stroke:var(--s5);stroke-dasharray:12 4}\n"
    ".wm{fill:var(--s0)}.wx{fill:none;stroke:var(--bad);stroke-width:1.6}"
    ".wo{fill:none;stroke:var(--open);stroke-width:1.6;stroke-dasharray:3 2}"
    ".wl{stroke:var(--open);stroke-width:1.6}\n"
    ".kg{stroke:var(--good);stroke-width:1}.kb{stroke:var(--bad);stroke-width:1.6}"
    ".ku{stroke:var(--open);stroke-width:1.6;stroke-dasharray:2 2}.win{fill:var(--bad);opacity:.16}\n"
    ".pc{fill:var(--s0)}.pm{fill:none;stroke:var(--bad);stroke-width:1.5;stroke-dasharray:3 2}\n"
    ".legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.1rem 1rem;font-size:.87rem}\n"
    ".legend svg{display:inline-block;width:2.2rem;height:.7rem;vertical-align:middle}\n"
    ".key{display:inline-block;min-width:1.4em;text-align:center;color:var(--on);font-weight:600;"
    "border-radius:.2rem;font-size:.85em;print-color-adjust:exact;-webkit-print-color-adjust:exact}\n"
    "footer{margin-top:2rem;border-top:1px solid var(--line);font-size:.87rem;color:var(--soft)}\n";

/*
 * What folds is open where there is room: a browser that knows the pseudo-element shows the content and no summary, an
 * older one keeps both, folded.
 */
static const char fold_style[] =
    "summary{cursor:pointer;color:var(--soft);font-size:.93em}\n"
    "@supports selector(details::details-content){@media print,(min-width:44.01rem){"
    "details::details-content{content-visibility:visible;display:block;block-size:auto}"
    "details>summary{display:none}}}\n";

/* A row of a table is a card of few lines: its heading and what flows beside it, then the rest. */
static const char phone_style[] =
    "@media screen and (max-width:44rem){body{padding:.6rem;font-size:14px;line-height:1.35}"
    "h1{font-size:1.4rem}h2{margin:1.1rem 0 .3rem;font-size:1.12rem}h3{margin:.7rem 0 .2rem}\n"
    ".tiles{gap:.4rem;margin:.6rem 0}.tile{padding:.35rem .5rem}.tile .value{font-size:1.08rem}\n"
    "dl>div{grid-template-columns:6.6rem 1fr;gap:.5rem;padding:.12rem 0}\n"
    "table,tbody,tr,caption{display:block}thead{position:absolute;width:1px;height:1px;"
    "overflow:hidden;clip-path:inset(50%)}table{margin:.2rem 0 .5rem}\n"
    "tr{border-bottom:1px solid var(--line);padding:.25rem 0}\n"
    "tbody th{display:inline-block;border:0;padding:0;margin-right:.6rem}\n"
    "td{display:block;border:0;padding:0}td.flows{display:inline-block;margin-right:.6rem}\n"
    "td>div{display:inline}td::before{content:attr(data-of) \": \";color:var(--soft);font-size:.93em}"
    "td.bare::before{content:none}td br,.wide{display:none}td ul{margin:0}\n"
    "td>div>details{display:inline-block;vertical-align:top;max-width:100%}"
    "td>div>details[open]{display:block}}\n";

static const char paper_style[] =
    "@page{margin:14mm}\n"
    "@media print{:root{color-scheme:light;" LIGHT ";" PAPER "}\n"
    "body{max-width:none;padding:0 1px;font-size:10.5pt}\n"
    "nav ol{columns:3 10rem;font-size:9pt}.why{font-size:1rem}h2{margin-top:.6rem}figure{margin-top:.2rem}"
    "table{font-size:9pt}figure p,.legend{font-size:8pt}\n"
    "h2,h3,figcaption,caption{break-after:avoid}tr,figure,.tile,dl>div,li{break-inside:avoid}"
    "thead{display:table-header-group}\n"
    "a[href]::after{content:\" (\" attr(href) \")\"}a[href^=\"#\"]::after{content:none}"
    "a{text-decoration:none}\n"
    ".tiles{grid-template-columns:repeat(4,1fr)}.plots{display:block;orphans:1;widows:1}"
    "figure{display:inline-block;vertical-align:top;width:47%;margin-right:2%}\n"
    "svg,.c0,.c1,.c2,.c3,.c4,.c5,.c6,.c7,.c8{print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}}\n";

void html_add_style(struct buf *out)
{
    static const char *const pieces[] = { text_style, table_style, plot_style,
                                          fold_style, phone_style, paper_style };
    for (size_t i = 0; i < DR_ARRAY_LEN(pieces); i++)
        buf_adds(out, pieces[i]);
}
