#!/bin/sh
# Installs sociable: curl -fsSL BASE_URL/install.sh | sh
#
# usage: install.sh [--version VERSION] [--bin-dir DIR] [--base-url URL] [--uninstall] [--help]
#
# It needs sh, curl or wget, gzip, and sha256sum, shasum or openssl; and no root, unless DIR does.
#   SOCIABLE_BASE_URL   where releases lie: URL/latest, URL/vVERSION/checksums.txt and the programs
#   SOCIABLE_VERSION    version to install; the latest one by default
#   SOCIABLE_BIN_DIR    where to; /usr/local/bin if it can be written to, else ~/.local/bin
set -eu

# Put in when a release is made.
DEFAULT_BASE_URL=""

say() { printf '%s\n' "$*" >&2; }

refuse() {
  say "install.sh: $1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 1
}

usage() {
  say "usage: install.sh [--version VERSION] [--bin-dir DIR] [--base-url URL] [--uninstall]"
  say "Installs sociable. Also by environment: SOCIABLE_VERSION, SOCIABLE_BIN_DIR, SOCIABLE_BASE_URL."
}

has() { command -v "$1" >/dev/null 2>&1; }

# What the functions below agree on.
base_url=""
version=""
bin_dir=""
work=""
unfinished=""

clean_up() {
  if [ -n "$work" ]; then rm -rf -- "$work"; fi
  if [ -n "$unfinished" ]; then rm -f -- "$unfinished"; fi
}

# download URL FILE
download() {
  if has curl; then
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 \
      --output "$2" -- "$1"
  elif has wget; then
    wget -q -O "$2" -- "$1"
  else
    refuse "cannot download: there is neither curl nor wget" \
      "Install one of them, as with: apt-get install curl; apk add curl; dnf install curl"
  fi
}

sha256_of() {
  if has sha256sum; then sha256sum "$1" | cut -d ' ' -f 1
  elif has shasum; then shasum -a 256 "$1" | cut -d ' ' -f 1
  elif has openssl; then openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
  else
    refuse "cannot check what was downloaded: there is no sha256sum, shasum or openssl" \
      "Install coreutils"
  fi
}

is_version() {
  case $1 in
    "" | *[!0-9A-Za-z.+-]* | [!0-9]*) return 1 ;;
  esac
}

# Prints the name of the program for this machine.
platform() {
  system=$(uname -s)
  machine=$(uname -m)
  if [ "$system" != Linux ]; then
    refuse "there is no sociable for $system: want Linux" \
      "It mounts images through Linux' FUSE. In a virtual machine or a container it can be used."
  fi
  case $machine in
    x86_64 | amd64) cpu=x64 ;;
    aarch64 | arm64) cpu=arm64 ;;
    *) refuse "there is no sociable for $machine: want x86_64 or aarch64" ;;
  esac
  if [ "$cpu" = x64 ] && [ -r /proc/cpuinfo ] && grep -q '^flags' /proc/cpuinfo \
    && ! grep -q '^flags.* avx2' /proc/cpuinfo; then
    refuse "this processor has no AVX2, which the program needs" \
      "Processors have it since 2013 (Intel) and 2015 (AMD). A virtual machine may hide it: give it the processor type \"host\"."
  fi
  if is_musl; then
    if ! has_library libstdc++.so.6; then
      refuse "libstdc++ is missing, which the program needs on musl" "As root: apk add libstdc++"
    fi
    echo "sociable-linux-$cpu-musl"
  else
    echo "sociable-linux-$cpu"
  fi
}

is_musl() {
  # glibc's ldd names glibc; musl's prints its own name, and fails.
  case $(ldd --version 2>&1 || true) in
    *musl*) return 0 ;;
    *GLIBC* | *"GNU libc"*) return 1 ;;
  esac
  for loader in /lib/ld-musl-*; do
    if [ -e "$loader" ]; then return 0; fi
  done
  return 1
}

has_library() {
  for directory in /usr/lib /lib /usr/local/lib; do
    if [ -e "$directory/$1" ]; then return 0; fi
  done
  return 1
}

find_version() {
  if [ -z "$version" ]; then
    download "$base_url/latest" "$work/latest" \
      || refuse "cannot download $base_url/latest" "Is the address right? Or name a version with --version"
    version=$(head -n 1 "$work/latest" | tr -d '[:space:]')
    is_version "$version" || refuse "$base_url/latest names no version"
  fi
  version=${version#v}
  is_version "$version" || refuse "\"$version\" is no version: want one such as 1.2.3"
}

choose_bin_dir() {
  if [ -n "$bin_dir" ]; then
    return
  elif [ -d /usr/local/bin ] && [ -w /usr/local/bin ]; then
    bin_dir=/usr/local/bin
  elif [ -n "${HOME:-}" ]; then
    bin_dir=$HOME/.local/bin
  else
    refuse "cannot choose a directory: /usr/local/bin cannot be written to, and HOME is not set" \
      "Name one with --bin-dir DIR"
  fi
}

install_program() {
  name=$(platform)
  find_version
  release=$base_url/v$version
  download "$release/checksums.txt" "$work/checksums" \
    || refuse "cannot download $release/checksums.txt" "Is there a version $version?"
  want=$(awk -v name="$name.gz" '$2 == name || $2 == "*" name { print $1 }' "$work/checksums")
  case $want in
    *[!0-9a-f]*) want="" ;;
  esac
  if [ "${#want}" -ne 64 ]; then
    refuse "version $version has no $name.gz" "See $release/checksums.txt for what it has"
  fi

  mkdir -p -- "$bin_dir" 2>/dev/null || refuse "cannot make the directory $bin_dir" \
    "Run this as root, or name another directory with --bin-dir DIR"
  # In the same directory: the old program is there until the new one takes its place.
  unfinished=$(mktemp "$bin_dir/.sociable.XXXXXX" 2>/dev/null) || refuse "cannot write to $bin_dir" \
    "Run this as root, or name another directory with --bin-dir DIR"

  say "Downloading sociable $version ($name)"
  download "$release/$name.gz" "$work/program.gz" || refuse "cannot download $release/$name.gz"
  got=$(sha256_of "$work/program.gz")
  if [ "$got" != "$want" ]; then
    refuse "$name.gz is not what was released: sha256 is $got, want $want" \
      "The download was cut off or changed on the way. Nothing was installed."
  fi
  gzip -dc "$work/program.gz" >"$unfinished" 2>"$work/error" \
    || refuse "cannot unpack into $bin_dir: $(cat "$work/error")" "Is there room? It needs 130 MB."
  chmod 755 "$unfinished"
  "$unfinished" --version >"$work/says" 2>"$work/error" \
    || refuse "the program does not run here: $(head -n 3 "$work/error")" \
      "Is $bin_dir mounted noexec? Is the C library older than glibc 2.17, or Alpine than 3.15?"
  mv -f -- "$unfinished" "$bin_dir/sociable"
  unfinished=""
  say "Installed $bin_dir/sociable: $(cat "$work/says")"
  case ":${PATH:-}:" in
    *":$bin_dir:"*) ;;
    *) say "$bin_dir is not in your PATH; add it: export PATH=\"$bin_dir:\$PATH\"" ;;
  esac
  say "Next: sociable --help; on a host with containerd, as root: sociable install"
}

uninstall_program() {
  program=$bin_dir/sociable
  if [ ! -e "$program" ]; then refuse "there is no $program"; fi
  case $("$program" --version 2>/dev/null || true) in
    "sociable "*) ;;
    *) refuse "$program is not sociable" ;;
  esac
  if [ -e /etc/sociable/installed.json ]; then
    refuse "this host is set up to use it" "First, as root: sociable uninstall"
  fi
  rm -f -- "$program" 2>/dev/null || refuse "cannot remove $program" "Run this as root"
  say "Removed $program"
}

main() {
  base_url=${SOCIABLE_BASE_URL:-$DEFAULT_BASE_URL}
  version=${SOCIABLE_VERSION:-}
  bin_dir=${SOCIABLE_BIN_DIR:-}
  action=install
  while [ $# -gt 0 ]; do
    case $1 in
      --version | --bin-dir | --base-url)
        if [ $# -lt 2 ]; then refuse "$1 needs a value"; fi
        case $1 in
          --version) version=$2 ;;
          --bin-dir) bin_dir=$2 ;;
          --base-url) base_url=$2 ;;
        esac
        shift 2
        ;;
      --uninstall)
        action=uninstall
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *)
        usage
        refuse "there is no option $1"
        ;;
    esac
  done

  choose_bin_dir
  case $bin_dir in
    /*) ;;
    *) bin_dir=$PWD/$bin_dir ;;
  esac
  if [ "$action" = uninstall ]; then
    uninstall_program
    return
  fi

  base_url=${base_url%/}
  case $base_url in
    https://* | http://* | file://*) ;;
    "") refuse "where are the releases?" "Say it with --base-url URL or SOCIABLE_BASE_URL" ;;
    *) refuse "$base_url is no address of releases: want https://…" ;;
  esac
  has gzip || refuse "there is no gzip" "Install it, as with: apt-get install gzip"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  work=$(mktemp -d) || refuse "cannot make a temporary directory" "Is there room in ${TMPDIR:-/tmp}?"
  install_program
}

# On the last line: of a script that was cut off, nothing runs.
main "$@"
