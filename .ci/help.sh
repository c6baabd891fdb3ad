# Sourced by the scripts in .ci: how they explain themselves.

# Prints the comment at the top of the script.
explain() {
  sed -n '2,/^[^#]/{ s/^# \{0,1\}//p }' "$0"
}

# Ends a script that was called in a way that it does not know.
misused() {
  echo ".ci/$(basename "$0"): $1. See .ci/$(basename "$0") --help" >&2
  exit 2
}
