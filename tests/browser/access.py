"""What axe-core finds against WCAG 2.2 AA, told so that one can mend it."""

from functools import cache

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What moves has a colour between two colours for a moment; it is judged where it comes to rest.
_AT_REST = """() => document.getAnimations()
  .filter(one => one.effect.getComputedTiming().iterations !== Infinity)
  .forEach(one => one.finish())"""
# Mail in its frame is a page of somebody else's, and is left out.
_ASK = """standard => axe.run(
  {include: [document], exclude: [["iframe"]]},
  {runOnly: {type: "tag", values: standard}, resultTypes: ["violations"], iframes: false, preload: false},
).then(({violations}) => violations.flatMap(({id, nodes}) => nodes.flatMap(
  // Beneath an open menu nothing is a target.
  ({target, failureSummary: why}) => why.includes("partially obscured") ? [] :
    `${id}: ${target.join(" ")}: ${why.split("\\n").slice(1).join(" ").trim()}`,
)))"""


@cache
def _script() -> str:
    return str(Axe().axe_script)


def violations(page: Page) -> list[str]:
    """Each rule that is broken as the page stands there now, with the places."""
    page.evaluate(_AT_REST)
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(_script())
    return [str(one) for one in page.evaluate(_ASK, STANDARD)]
