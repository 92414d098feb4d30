# shellcheck shell=bash Sourced by the scripts beside it: strict mode, paths, and the installation
# of missing tools. Tools that the machine already has, from any source, are not installed again.

set -Eeuo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

# Absolute, because the scripts start programs in other working directories.
TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}"
[[ "$TARGET_DIR" == /* ]] || TARGET_DIR="$ROOT/$TARGET_DIR"
[[ -z "${CARGO_TARGET_DIR:-}" ]] || export CARGO_TARGET_DIR="$TARGET_DIR"

# Messages for people go to standard error; standard output is for results.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# True if version $1 is at least version $2.
version_at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; }

# --- What is there: one function an item, true if it can be used ------------------------------

have_cc() { command -v cc >/dev/null; }
have_cxx() { command -v c++ >/dev/null; }
have_make() { command -v make >/dev/null; }
have_pkg_config() { command -v pkg-config >/dev/null; }
have_openssl() { have_pkg_config && pkg-config --exists openssl; }
have_zlib() { have_pkg_config && pkg-config --exists zlib; }
have_certificates() {
    [[ -e /etc/ssl/certs/ca-certificates.crt || -e /etc/pki/tls/certs/ca-bundle.crt || -e /etc/ssl/cert.pem ]]
}
have_git() { command -v git >/dev/null; }

# The directory with the programs of a PostgreSQL server that is new enough.
postgres_programs() {
    # Debian keeps them off the PATH, in a directory for each version.
    local programs version
    for programs in /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb)")"; do
        [[ -x "$programs/initdb" && -x "$programs/postgres" ]] || continue
        version="$("$programs/postgres" --version | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')"
        [[ -n "$version" ]] && ((version >= 15)) && printf '%s\n' "$programs" && return
    done
    return 1
}
have_postgres() { postgres_programs >/dev/null; }

have_java() {
    local major
    major="$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)" || return 1
    [[ -n "$major" ]] && ((major >= 17))
}
have_javac() {
    local major
    major="$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p' | head -n 1)" || return 1
    [[ -n "$major" ]] && ((major >= 17))
}
have_maven() { command -v mvn >/dev/null; }

have_python() { python3 -c 'import venv, ensurepip' >/dev/null 2>&1; }
have_kcat() { command -v kcat >/dev/null; }
have_jq() { command -v jq >/dev/null; }
have_curl() { command -v curl >/dev/null; }
have_node() {
    local major
    major="$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')" || return 1
    [[ -n "$major" ]] && ((major >= 20))
}
have_npm() { command -v npm >/dev/null; }
have_buildah() { command -v buildah >/dev/null; }
have_debootstrap() { command -v debootstrap >/dev/null; }
have_chromium() { command -v chromium >/dev/null || command -v google-chrome >/dev/null; }

# --- What to install --------------------------------------------------------------------------

items_of() {
    case "$1" in
    # librdkafka is built from source (configure and make) against OpenSSL and zlib; the
    # cryptography crate needs a C compiler.
    build) echo cc cxx make pkg_config openssl zlib certificates git ;;
    run) echo postgres ;;
    kafka) echo java maven ;;
    python) echo python ;;
    clients) echo python kcat jq curl ;;
    javascript) echo node npm chromium ;;
    image) echo buildah ;;
    bootstrap) echo debootstrap ;;
    image-check) echo curl jq ;;
    java) echo java javac maven ;;
    observability) echo python jq curl ;;
    *) die "no such group of packages: $1" ;;
    esac
}

debian_package_of() {
    case "$1" in
    cc) echo "gcc libc6-dev" ;;
    cxx) echo g++ ;;
    make) echo make ;;
    pkg_config) echo pkg-config ;;
    openssl) echo libssl-dev ;;
    zlib) echo zlib1g-dev ;;
    certificates) echo ca-certificates ;;
    git) echo git ;;
    postgres) echo postgresql ;;
    java)
        # The distribution's default may be older than Kafka allows.
        local major
        for major in 21 17 25; do
            if [[ -n "$(apt-cache --names-only search "^openjdk-$major-jre-headless\$" 2>/dev/null)" ]]; then
                echo "openjdk-$major-jre-headless"
                return
            fi
        done
        echo default-jre-headless
        ;;
    javac)
        # The version of the installed runtime, which must run the compiled classes.
        local major
        for major in "$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)" 21 17 25; do
            if [[ -n "$major" && -n "$(apt-cache --names-only search "^openjdk-$major-jdk-headless\$" 2>/dev/null)" ]]; then
                echo "openjdk-$major-jdk-headless"
                return
            fi
        done
        echo default-jdk-headless
        ;;
    maven) echo maven ;;
    node) echo nodejs ;;
    python) echo "python3 python3-venv" ;;
    kcat | jq | curl | npm | chromium | buildah | debootstrap) echo "$1" ;;
    esac
}

description_of() {
    case "$1" in
    cc) echo "a C compiler (cc)" ;;
    cxx) echo "a C++ compiler (c++)" ;;
    make) echo "GNU make" ;;
    pkg_config) echo "pkg-config" ;;
    openssl) echo "OpenSSL with its headers" ;;
    zlib) echo "zlib with its headers" ;;
    certificates) echo "the CA certificates" ;;
    git) echo "git" ;;
    postgres) echo "the PostgreSQL server, 15 or newer (initdb and postgres)" ;;
    java) echo "a Java runtime, 17 or newer (java)" ;;
    javac) echo "a Java compiler, 17 or newer (javac)" ;;
    maven) echo "Apache Maven (mvn)" ;;
    node) echo "Node.js, 20 or newer (node)" ;;
    chromium) echo "Chromium or Chrome (chromium)" ;;
    python) echo "Python 3 with venv" ;;
    *) echo "$1" ;;
    esac
}

# --- Installing -------------------------------------------------------------------------------

is_debian_like() {
    command -v apt-get >/dev/null && [[ -r /etc/os-release ]] &&
        grep -Eq '^(ID|ID_LIKE)=.*(debian|ubuntu)' /etc/os-release
}

as_root() {
    if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo "$@"; fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

# Installs Debian packages. PostgreSQL's packages would create and start a cluster that nothing here
# uses: if they are new to the machine, they are configured not to during the installation.
apt_install() {
    local settings=/etc/postgresql-common/createcluster.conf quiet_cluster=""
    # Minimal images lack these, and the packages of Java and PostgreSQL fail without them.
    as_root mkdir -p /usr/share/man/man1 /usr/share/man/man7
    if [[ " $* " == *" postgresql "* ]] && ! dpkg-query -W -f '${Status}' postgresql-common 2>/dev/null | grep -q 'ok installed'; then
        apt_get install --no-install-recommends postgresql-common || return 1
        if [[ -f "$settings" ]]; then
            quiet_cluster=yes
            as_root cp -p "$settings" "$settings.before-userpool"
            as_root sh -c "echo 'create_main_cluster = false' >>'$settings'"
        fi
    fi
    local status=0
    apt_get install --no-install-recommends "$@" || status=$?
    [[ -z "$quiet_cluster" ]] || as_root mv "$settings.before-userpool" "$settings"
    return "$status"
}

# need_packages GROUP...: installs the missing packages of these groups, or names them and stops.
need_packages() {
    local group item missing=() packages=() names_of_item=() names=""
    for group in "$@"; do
        for item in $(items_of "$group"); do
            "have_$item" || missing+=("$item")
        done
    done
    ((${#missing[@]})) || return 0

    for item in "${missing[@]}"; do
        names+="${names:+, }$(description_of "$item")"
    done
    is_debian_like || die "this system is not Debian or Ubuntu, so nothing was installed; please install: $names"

    say "missing: $names"
    if [[ "$(id -u)" == 0 ]] || command -v sudo >/dev/null; then
        # Before the package names are chosen, because a new machine has no package lists.
        apt_get update || die "apt-get update failed; please install: $names"
    fi
    for item in "${missing[@]}"; do
        read -r -a names_of_item <<<"$(debian_package_of "$item")"
        packages+=("${names_of_item[@]}")
    done
    if [[ "$(id -u)" != 0 ]] && ! command -v sudo >/dev/null; then
        die "neither root nor sudo, so nothing was installed; as root, run: apt-get update && apt-get install -y ${packages[*]}"
    fi
    say "installing: ${packages[*]}"
    apt_install "${packages[@]}" || die "the installation failed; please install by hand: ${packages[*]}"

    hash -r
    for item in "${missing[@]}"; do
        "have_$item" || die "still missing after the installation: $(description_of "$item")"
    done
}

# Stops unless there is a Rust toolchain of the version that Cargo.toml requires.
need_cargo() {
    local wanted found
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
    # rustup puts cargo here; a shell that was already open does not have it on its PATH.
    if ! command -v cargo >/dev/null && [[ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]]; then
        export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    found="$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p')" || true
    if [[ -z "$found" ]]; then
        die "there is no Rust toolchain: install Rust $wanted or newer (for example with rustup), then run this again"
    fi
    version_at_least "$found" "$wanted" ||
        die "cargo is $found, but Rust $wanted or newer is needed: update it (for example with 'rustup update stable'), then run this again"
}

# need_venv DIRECTORY REQUIREMENT...: a Python environment with exactly these requirements.
need_venv() {
    local directory="$1" wanted
    shift
    wanted="$(printf '%s\n' "$@")"
    if [[ ! -x "$directory/bin/python" || "$(cat "$directory/.requirements" 2>/dev/null)" != "$wanted" ]]; then
        say "installing $* in $directory"
        rm -rf "$directory"
        mkdir -p "$(dirname "$directory")"
        python3 -m venv "$directory" >&2 || die "no Python environment could be made in $directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check --no-input "$@" >&2 ||
            die "pip could not install $*"
        # Written last, so that an interrupted installation is repeated.
        printf '%s\n' "$wanted" >"$directory/.requirements"
    fi
}
