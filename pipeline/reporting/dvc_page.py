"""The page around `dvc plots`, with its scripts inside: DVC's own fetches them. `make dvc-page` writes it again."""

from pathlib import Path

from pipeline.reporting import charts

PAGE = Path(".dvc/plots/offline.html")  # .dvc/config names it
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>rnn-for-nlp: dvc plots</title>
<script>%s</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def page() -> str:
    return FRAME % charts.scripts()


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
