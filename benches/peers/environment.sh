# Python environments of the peers, for `run` and `infer`, which read this file. $here is its folder.

# The newest Python of that version, or one that a version manager keeps.
python_of() {
  local found
  for found in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
    if "$found" -c "import sys; sys.exit(sys.version_info[:2] != (${1/./, }))" 2> /dev/null; then
      echo "$found"
      return
    fi
  done
  return 1
}

# environment FOLDER REQUIREMENTS VERSION: makes it if it is not there; a line that cannot be installed is left out.
environment() {
  local base line
  cmp -s "$2" "$1/installed" && return
  base=$(python_of "$3") || { echo "skipped: $(basename "$2"): Python $3 is not installed" >&2; return 1; }
  "$base" -m venv --clear "$1" || return 1
  if ! "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" 2> "$1/install.log"; then
    while read -r line; do
      [[ -z $line || $line == \#* ]] && continue
      "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$line" 2> "$1/install.log" \
        || echo "skipped: $line: $(grep -m1 ERROR "$1/install.log")" >&2
    done < "$2"
  fi
  # The copy is left last, so that an environment that was broken off is made anew.
  cp "$2" "$1/installed"
}
