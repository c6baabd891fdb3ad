# Sourced by .ci/check and .ci/test: options, steps and their count, and the tools that both need.

source "$(dirname "${BASH_SOURCE[0]}")/help.sh"
case ${1:-} in
  "") ;;
  -h | --help)
    explain
    exit
    ;;
  *) misused "unknown option $1" ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# A run is the same everywhere: nothing asks for input, and no tool behaves differently because of CI=true.
exec </dev/null
unset CI

passed=0
failed=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# Runs a command that succeeds or fails as a whole. Only a failure counts.
step() {
  local name=$1
  shift
  echo "== $name"
  "$@" && return
  failed=$((failed + 1))
  echo "== $name: FAILED" >&2
  return 1
}

# Runs a test runner and adds its numbers, which the function $2 reads from its output. A runner that fails without a
# failed test counts as one failure.
suite() {
  local name=$1 count=$2 before=$failed status
  shift 2
  echo "== $name"
  "$@" 2>&1 | tee "$log/suite"
  status=${PIPESTATUS[0]}
  sed -i 's/\x1b\[[0-9;]*m//g' "$log/suite"
  "$count"
  if [ "$status" -ne 0 ] && [ "$failed" -eq "$before" ]; then failed=$((failed + 1)); fi
  [ "$status" -eq 0 ] || echo "== $name: FAILED" >&2
}

# "test result: ok. 12 passed; 0 failed; …", once for each test program
count_cargo() {
  passed=$((passed + $(sum 's/^test result: .* \([0-9]*\) passed;.*/\1/p')))
  failed=$((failed + $(sum 's/^test result: .* \([0-9]*\) failed;.*/\1/p')))
}

# "Tests  1 failed | 90 passed (91)"
count_vitest() {
  passed=$((passed + $(sum 's/^ *Tests .* \([0-9]*\) passed.*/\1/p')))
  failed=$((failed + $(sum 's/^ *Tests .* \([0-9]*\) failed.*/\1/p')))
}

# "# pass 12" or "ℹ pass 12". The tests of a suite whose setup failed are reported as cancelled.
count_node() {
  passed=$((passed + $(sum 's/^[^ ]* pass \([0-9]*\)$/\1/p')))
  failed=$((failed + $(sum 's/^[^ ]* \(fail\|cancelled\) \([0-9]*\)$/\2/p')))
}

# "fuzzing: 15 passed, 0 failed"
count_fuzz() {
  passed=$((passed + $(sum 's/^fuzzing: \([0-9]*\) passed.*/\1/p')))
  failed=$((failed + $(sum 's/^fuzzing: .* \([0-9]*\) failed$/\1/p')))
}

sum() {
  sed -n "$1" "$log/suite" | awk '{ total += $1 } END { print total + 0 }'
}

# Prints the last line. Succeeds when nothing failed.
report() {
  echo
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

stop() {
  echo ".ci/$(basename "$0"): $1" >&2
  exit 1
}

# Rust for everything; Node.js for the web client, which the server's build embeds.
require_rust_and_node() {
  command -v cargo >/dev/null || stop "cargo is missing. Install Rust with rustup, see https://rustup.rs"
  command -v node >/dev/null && command -v npm >/dev/null ||
    stop "node or npm is missing. Install Node.js 20.19 or newer, see https://nodejs.org"
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    stop "node $(node --version) is too old. Install Node.js 20.19 or newer, see https://nodejs.org"
}

# Installs the npm packages of a folder unless those of its lock file are installed. web/build.rs leaves the same mark.
install_packages() {
  local folder=$1 mark=$1/node_modules/.installed-package-lock.json
  cmp -s "$folder/package-lock.json" "$mark" && return
  echo "Installing the npm packages of $folder/package-lock.json"
  npm --prefix "$folder" ci && cp "$folder/package-lock.json" "$mark" ||
    stop "could not install the npm packages of $folder"
}

check_format() {
  step "format" cargo fmt --all --check
  step "format of the fuzz targets" cargo fmt --manifest-path control/fuzz/Cargo.toml --check
}

check_lints() {
  step "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
}

check_web_client() {
  step "web client: types, lints, format" npm --prefix web run check
  suite "web client: tests" count_vitest npm --prefix web test
}
