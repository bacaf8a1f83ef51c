"""The pictures of the README, made by the project: `python docs/pictures.py` (or `make pictures`) makes them anew.

It runs the demo in a temporary folder, writes both models' samples, and takes screenshots of the report and of the page
that compares the two in Debian's Chromium.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import bestiary as bst
from bestiary.data.picture import write_picture

IMAGES = Path(__file__).parent / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def shoot(page: Path, out: str, width: int, height: int, scheme: str = "light") -> None:
    """The top of a page, `height` pixels of it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        tab.goto(page.as_uri())
        tab.screenshot(path=IMAGES / out)
        browser.close()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as root:
        for run in bst.demo(root=root):
            write_picture(IMAGES / f"{run.config['model']['name']}.png", run.sample(32), run.spec, columns=8)
            shoot(run.path / "report.html", f"report-{run.config['model']['name']}.png", 1180, 1000)
        shoot(Path(root) / "demo.html", "comparison.png", 1180, 900)
        shoot(Path(root) / "demo-vae" / "report.html", "report-phone.png", 400, 860, "dark")


if __name__ == "__main__":
    main()
