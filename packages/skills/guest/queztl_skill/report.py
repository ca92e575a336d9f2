"""A report as one HTML file: text, tables and pictures, nothing fetched and nothing run."""

import base64
from html import escape

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1d1d1d}
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:right}
th{background:#f3f3f3}td:first-child,th:first-child{text-align:left}img{max-width:100%}
.note{background:#fff6d6;border-left:4px solid #e0b400;padding:.5rem 1rem}"""


class Report:
    """Collects what is to be told, in order."""

    def __init__(self, title):
        self.title, self.parts = title, []

    def heading(self, text):
        self.parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text):
        self.parts.append(f"<p>{escape(text)}</p>")

    def note(self, text):
        self.parts.append(f'<p class="note">{escape(text)}</p>')

    def table(self, head, rows):
        cells = lambda row, tag: "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in row)
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        self.parts.append(f"<table><tr>{cells(head, 'th')}</tr>{body}</table>")

    def picture(self, path, caption):
        data = base64.b64encode(path.read_bytes()).decode()
        self.parts.append(
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def write(self, path):
        path.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{STYLE}</style><h1>{escape(self.title)}</h1>{''.join(self.parts)}</html>\n",
            encoding="utf-8",
        )
