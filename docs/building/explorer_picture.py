"""docs/figures/explorer.png, the explorer as a browser shows it.

``python docs/building/explorer_picture.py demo/explore.html``; needs Chromium, and playwright of the extra `test`.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[1] / "figures" / "explorer.png"
SHOWN = "mid:53,sigma=0.2,img=coffee,beside=untrained"
FLAGS = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]


def main() -> None:
    """Take the picture."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("page", type=Path, help="a page that `probekit demo` or `probekit explore` has written")
    given = options.parse_args()
    chromium = os.environ.get("PROBEKIT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[f"--{flag}" for flag in FLAGS])
        page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        page.goto(f"{given.page.resolve().as_uri()}#{SHOWN}")
        page.wait_for_selector(".image .figure svg")
        page.wait_for_timeout(500)
        page.evaluate("document.querySelector('.address').value = 'explore.html#' + location.hash.slice(1)")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
