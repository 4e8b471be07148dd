"""The pages for users: every link leads somewhere."""
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = [os.path.relpath(os.path.join(folder, name), ROOT)
         for folder, folders, names in os.walk(ROOT) for name in names if name.endswith(".md")
         if not re.search(r"[\\/](\.|data[\\/]|build[\\/]|node_modules)", folder[len(ROOT):] + os.sep)]


def read(page):
    """The text of a page, without its examples of code."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as stream:
        return re.sub(r"^```.*?^```", "", stream.read(), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """What a link to a heading of a page looks like after its #."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", read(page)), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, target)), f"{page}: {link} does not exist"
        assert not anchor or anchor in anchors(target), f"{page}: {target} has no heading for #{anchor}"
