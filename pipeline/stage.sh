# Runs a stage for DVC: `sh pipeline/stage.sh train vanilla-textbook`. It takes the first Python that has the packages:
# the one that runs DVC, so that `.venv/bin/dvc repro` needs no active environment; `python` on PATH; that of `make`.
has_packages='import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ["pydantic", "tensorflow"])))'

program_of() { # the program of a process, where /proc shows it
  tr '\0' '\n' 2> /dev/null < "/proc/$1/cmdline" | head -n 1
}

unset PYTHONSAFEPATH # it would hide this folder, and `pipeline` with it

parent=$PPID # DVC, or a shell between DVC and this one
grandparent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$PPID/status" 2> /dev/null)

for python in "$(program_of "$parent")" "$(program_of "$grandparent")" python .venv/bin/python; do
  case ${python##*/} in
    python*) "$python" -I -c "$has_packages" 2> /dev/null && exec "$python" -m pipeline "$@" ;;
  esac
done

echo "error: no Python here has the packages of requirements.lock; run \`make .venv/ready && . .venv/bin/activate\`" >&2
exit 2
