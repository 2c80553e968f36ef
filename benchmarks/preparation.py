"""`python -m benchmarks.preparation [REVIEWS ...]`: time and memory of the stage `prepare`, by the size of its CSV.

The packaged film reviews are written repeatedly into a temporary folder. From the second repetition on, every other
text gets a number, so that it is not a duplicate. Every 97th text gets a unique word. The stage itself prepares each
size, in a new process. Two and a half million reviews need 4 GB of disk (TMPDIR names the folder). Nothing is written
into the project.
"""

import csv
import multiprocessing
import sys
import tempfile
import time
from contextlib import chdir
from importlib import resources
from pathlib import Path

from benchmarks import live
from pipeline import params
from pipeline.storage.sources import movie_reviews

SIZES = (25_000, 250_000)
PER = 25_000


def main() -> None:
    settings = params.read()
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    print("| reviews | MB | seconds | peak MB | seconds per 25,000 |\n|---|---|---|---|---|")
    for reviews in sizes:
        size, seconds, peak = measured(settings, reviews)
        megabytes = f"{size / 1e6:,.0f}"
        print(
            f"| {reviews:,} | {megabytes} | {seconds:.1f} | {peak / 1e6:,.0f} | {seconds / reviews * PER:.2f} |"
        )


def measured(settings: params.Params, reviews: int) -> tuple[int, float, int]:
    """(size of the CSV in bytes, seconds, peak memory of the process in bytes)"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reviews.csv"
        write(path, reviews)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return path.stat().st_size, *pool.apply(prepared, (settings, path))


def write(path: Path, reviews: int) -> None:
    packaged = resources.files(movie_reviews.PACKAGE).joinpath(movie_reviews.PACKAGED)
    with resources.as_file(packaged) as source, source.open(encoding="utf-8", newline="") as file:
        rows = [
            (row["text"], row["label"]) for row in csv.DictReader(file) if row["source"] == "imdb"
        ]

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(reviews):
            repetition, place = divmod(number, len(rows))
            text, label = rows[place]
            if repetition and place % 2:
                text += f" {repetition}"
            if number % 97 == 0:
                text += f" word{number}"
            writer.writerow((text, label))


def prepared(settings: params.Params, path: Path) -> tuple[float, int]:
    """Runs `prepare` on the CSV; returns seconds and the peak memory of this process in bytes."""
    from pipeline.stages import prepare
    from pipeline.stages.context import Context

    source = {"source": "csv", "path": str(path), "limit": None}
    settings = settings.model_copy(update={"data": settings.data.model_copy(update=source)})
    with chdir(path.parent):
        begun = time.perf_counter()
        prepare.main(Context(settings))
        return time.perf_counter() - begun, live.peak_bytes()


if __name__ == "__main__":
    main()
