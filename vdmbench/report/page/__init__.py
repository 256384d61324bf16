"""The self-contained HTML page."""

from vdmbench.report.page.inline_svg import inline_svg
from vdmbench.report.page.page import build_page

__all__ = ["build_page", "inline_svg"]
