"""SVG shapes of the pictures; coordinates are pixels from the upper left corner."""

from collections.abc import Iterable
from html import escape

SANS = "ui-sans-serif,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def document(width: int, height: int, title: str, shapes: Iterable[str]) -> str:
    """A complete picture with a background, readable on light and dark pages. `title` is for screen readers."""
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">\n'
        f"<title>{escape(title)}</title>\n{body}\n</svg>\n"
    )


def box(x: float, y: float, width: float, height: float, fill: str, line: str = "none", *, radius: int = 8) -> str:
    """A rectangle with rounded corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" fill="{fill}" '
        f'stroke="{line}" stroke-width="1.5"/>'
    )


def text(
    x: float, y: float, words: str, *, size: int = 14, color: str = "#1f2937", weight: int = 400, anchor: str = "start"
) -> str:
    """A line of text on the baseline `y`."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-family="{SANS}" font-size="{size}" font-weight="{weight}" fill="{color}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def arrow(points: Iterable[tuple[float, float]], color: str) -> str:
    """A line through `points` with an arrowhead at its end."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" marker-end="url(#{_head(color)})"/>'


def heads(colors: Iterable[str]) -> str:
    """The arrowheads of `arrow`, in each colour."""
    markers = "".join(
        f'<marker id="{_head(color)}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L10 5L0 10z" fill="{color}"/></marker>'
        for color in colors
    )
    return f"<defs>{markers}</defs>"


def _head(color: str) -> str:
    return f"head-{color.removeprefix('#')}"
