"""Copies a commit into a folder that shares nothing with this checkout; `verify` and `replicate` compute there.

This checkout is the current folder.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder, all_suffixes
from pathlib import Path

from pipeline.params import Mistake, Params
from pipeline.tracking import bytecode
from pipeline.verify import repository

VARIABLES_OF_THIS_CHECKOUT = (
    "MLFLOW_TRACKING_URI",
    "RNN_STUDIES",
    "DVC_STAGE",
    "DVC_ROOT",
    *repository.HOOK_VARIABLES,
)
CODE = (  # the files in Git, other than data and settings, that can change a result or hide a change
    "dvc.yaml",
    "requirements.lock",
    "pipeline",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
)
SETTINGS = ("params.yaml", "environment.json")  # dvc.lock records their values
# of the files that Python imports: source, bytecode and compiled C
SUFFIXES = tuple(all_suffixes())
# files of this folder that would hide an installed package of the same name
MODULES = tuple(f"{name}{suffix}" for name in ("*", "*/__init__") for suffix in SUFFIXES)
DIGITS = 12  # of a commit's hash in messages
NOT_RUN_BY_STAGES = ("pipeline/commands/", "pipeline/verify/")


@dataclass(frozen=True)
class CommitMismatch:
    """A file of code or settings that differs from the commit. `verify --json` prints these fields."""

    path: str
    problem: str

    def __str__(self) -> str:
        """One line with the commands that mend it."""
        name = shlex.quote(self.path)
        if self.problem == NOT_COMMITTED:
            return f"{self.path}: {self.problem}; commit it, or `rm {name}` removes it"
        command = f"git checkout HEAD -- {name}"
        if self.problem == MISSING:
            command = repository.restoring(self.path)
        return f"{self.path}: {self.problem}; commit it, or `{command}` restores it"


CHANGED = "differs from the commit"
MISSING = "missing, but the commit has it"
NOT_COMMITTED = "not in the commit, but a stage can import it"


def head() -> str:
    """The hash of the current commit."""
    _check_git()
    return git("rev-parse", "HEAD")


def resolved(revision: str) -> str:
    """The hash of the commit that a revision names, such as a branch; raises Mistake if there is none."""
    _check_git()
    name = f"{revision}^{{commit}}"
    try:
        commit = git("rev-parse", "--quiet", "--verify", "--end-of-options", name)
    except Mistake:
        commit = ""

    if not commit or commit.startswith("^"):  # `^HEAD` means all but HEAD
        is_shallow = git("rev-parse", "--is-shallow-repository") == "true"
        fetch = "git fetch --unshallow" if is_shallow else "git fetch"
        problem = "no such commit in this repository"
        raise Mistake(f"{revision!r}: {problem}; `{fetch}` gets those of a server")
    return commit


def _check_git() -> None:
    if reason := repository.problem_of_git():
        raise Mistake(reason)


def uncommitted(paths: tuple[str, ...]) -> Iterator[CommitMismatch]:
    """Compares files and folders with the commit, by content; yields those that differ, and uncommitted modules."""
    committed = _committed_hashes(paths)
    if not committed:
        raise Mistake(f"the commit has no code of this folder; run `{repository.NEW_COMMIT}`")

    present = [path for path in committed if Path(path).exists()]
    # `hash-object` alone takes paths from the root of the repository
    prefix = git("rev-parse", "--show-prefix")
    names = [prefix + path for path in present]
    hashes = git("hash-object", "--stdin-paths", stdin="\n".join(names)).split()
    current = dict(zip(present, hashes, strict=True))

    for path, committed_hash in committed.items():
        if path not in current:
            yield CommitMismatch(path, MISSING)
        elif current[path] != committed_hash:
            yield CommitMismatch(path, CHANGED)

    modules = {*_modules_of_pipeline(), *_hiding_modules()}
    for module in sorted(modules):
        path = module.as_posix()
        if path not in committed:
            yield CommitMismatch(path, NOT_COMMITTED)


def _modules_of_pipeline() -> Iterator[Path]:
    """The modules of `pipeline`, and the bytecode that Python would run without a look at its source."""
    folder = Path("pipeline")
    for path in folder.rglob("*"):
        if path.name.endswith(SUFFIXES) and bytecode.FOLDER not in path.parts:
            yield path
    yield from bytecode.unchecked_files(folder)


def _hiding_modules() -> Iterator[Path]:
    """The modules of this folder that have the name of an installed package, so that Python imports them instead."""
    search_path = [folder for folder in sys.path if Path(folder).resolve() != Path.cwd()]
    for pattern in MODULES:
        for module in Path().glob(pattern):
            name = module.parts[0]
            for suffix in SUFFIXES:
                name = name.removesuffix(suffix)
            if name in sys.stdlib_module_names or PathFinder.find_spec(name, search_path):
                yield module


def _committed_hashes(paths: tuple[str, ...]) -> dict[str, str]:
    """{path: hash} of the files of the commit that are these paths or lie in them."""
    hashes = {}
    for entry in git("ls-tree", "-r", "-z", "HEAD", "--", *paths).split("\0"):
        description, _, path = entry.partition("\t")
        if path:
            hashes[path] = description.split()[-1]
    return hashes


def check_committed(paths: tuple[str, ...]) -> None:
    """Raises Mistake if one of these files or folders differs from the commit, because only the commit is computed."""
    mismatches = list(uncommitted(paths))
    if mismatches:
        raise Mistake("\n".join(map(str, mismatches)))


def code_since(file: str) -> str:
    """Part of a sentence: the code that was committed after the last commit of this file; empty if there is none.

    Stages do not run the files in NOT_RUN_BY_STAGES, so those are not listed.
    """
    last = git("log", "-1", "--format=%h", "--", file)
    if not last:
        return ""

    names = git("diff", "--name-only", "--relative", "-z", last, "HEAD", "--", *CODE).split("\0")
    changed = [name for name in names if name and not name.startswith(NOT_RUN_BY_STAGES)]
    if changed:
        return f"{', '.join(changed)} changed after {file} was committed ({last})"
    if git("rev-parse", "--is-shallow-repository") == "true":
        return f"a shallow clone does not show what changed after {file} was committed"
    return ""


def place(params: Params, folder: Path) -> Path:
    """Where in `folder` the copy lies: so deep that a data.path with `..` does not lead out of `folder`."""
    parts = Path(os.path.relpath(params.data.path)).parts
    levels = 0 if Path(params.data.path).is_absolute() else parts.count("..")
    return folder.joinpath(*["above"] * levels, "study")


def make(params: Params, commit: str, copy: Path) -> None:
    """Writes the commit to `copy`, as a repository of its own, and adds the user's own reviews, which are not in Git.

    The copy has no history, so it can be made in a shallow clone, a worktree and a subfolder of a repository.
    """
    check_out(commit, copy)
    git("add", "--all", "--force", folder=copy)
    git(
        *repository.IDENTITY,
        *repository.WITHOUT_HOOKS,
        "commit",
        "--quiet",
        "--no-verify",
        "--no-gpg-sign",
        "--message",
        commit,
        folder=copy,
    )

    reviews = Path(os.path.relpath(params.data.path))
    is_outside = Path(params.data.path).is_absolute() and ".." in reviews.parts
    if reviews.exists() and not is_outside:
        put(reviews, copy / reviews)


def check_out(commit: str, copy: Path) -> None:
    """Writes the commit to the new folder `copy`, which becomes a repository without commits, because DVC needs one."""
    copy.mkdir(parents=True)
    _write_files(commit, copy)
    _remove_links_to_elsewhere(copy)
    git("init", "--quiet", "--template=", folder=copy)


def _write_files(commit: str, copy: Path) -> None:
    """Writes every file of a commit. `git archive` would leave out files with the attribute `export-ignore`."""
    repository_folder = git("rev-parse", "--absolute-git-dir")
    if not repository.succeeds("cat-file", "-e", f"{commit}:./"):
        prefix = git("rev-parse", "--show-prefix")
        problem = f"no folder {prefix.removesuffix('/')}, in which this checkout lies"
        raise Mistake(f"{commit[:DIGITS]}: {problem}; name a commit that has it")

    index = copy.with_suffix(".index").resolve()
    git("read-tree", f"{commit}:./", index=index)
    git(
        f"--git-dir={repository_folder}",
        "--work-tree=.",
        "checkout-index",
        "--all",
        folder=copy,
        index=index,
    )
    index.unlink()


def _remove_links_to_elsewhere(copy: Path) -> None:
    """Removes links that lead out of the copy, nowhere or in a circle.

    A stage would write through a link that leads out, such as `artifacts` on another disk.
    """
    inside = copy.resolve()
    links = [path for path in copy.rglob("*") if path.is_symlink()]
    for link in links:
        if not link.exists() or not link.resolve().is_relative_to(inside):
            link.unlink()


def put(source: Path, target: Path) -> None:
    """Copies a file or folder. Other files in the target folder stay."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def environment() -> dict[str, str]:
    """The environment of a process in the copy: this Python, no MLflow and none of this checkout's stores."""
    variables = {
        **os.environ,
        "RNN_TRACKING": "off",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
    }
    for name in VARIABLES_OF_THIS_CHECKOUT:
        variables.pop(name, None)
    return variables


def git(*arguments: str, folder: Path = Path(), stdin: str = "", index: Path | None = None) -> str:
    """The output of `git` with these arguments; raises Mistake if it fails."""
    try:
        return repository.git(*arguments, folder=folder, stdin=stdin, index=index)
    except repository.GitError as error:
        raise Mistake(str(error)) from None
