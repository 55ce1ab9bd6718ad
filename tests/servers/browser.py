"""A headless Chromium of the machine, driven by playwright. Its own download of a browser is not used."""

import os
import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser_path():
    """Where the browser is: REELSIFT_BROWSER, or on the path."""
    found = os.environ.get("REELSIFT_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "no Chromium here: install the package chromium, or name another in REELSIFT_BROWSER"
    return found


@contextmanager
def running():
    """A browser; pages opened in it speak to loopback alone."""
    # In a container Chromium's own sandbox finds no user namespaces; what is shown is ours.
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=flags)
        try:
            yield browser
        finally:
            browser.close()
