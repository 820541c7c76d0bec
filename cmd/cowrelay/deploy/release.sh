#!/usr/bin/env bash
# Builds the release archives into OUT (dist), the same bytes wherever and whenever
# the same commit is built with the same Go: no path, no time and no user of this
# machine gets into them. Needs GNU tar (TAR=gtar elsewhere than on Linux).
#   release.sh [OUT]        make release
#   release.sh --check      make release-check: builds twice, in two folders, and compares
set -euo pipefail
cd "$(dirname "$0")/../../.."
VERSION=${VERSION:-$(git describe --tags --always --dirty)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
TARGETS=${TARGETS:-linux/amd64 linux/arm64 darwin/arm64}
SBOM="go run -trimpath -buildvcs=false github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
export VERSION SOURCE_DATE_EPOCH TARGETS
# What could change the code that comes out.
unset GOFLAGS GOEXPERIMENT
export CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 LC_ALL=C TZ=UTC

check() {
	local tmp a b
	tmp=$(mktemp -d)
	trap "chmod -R u+w '$tmp'; rm -rf '$tmp'" EXIT
	a=$tmp/one b=$tmp/somewhere/else/entirely
	[ -z "$(git status --porcelain)" ] || echo "note: what is not committed is not checked"
	VERSION=$(git describe --tags --always)
	git clone -q . "$a"
	git clone -q . "$b"
	"$a/cmd/cowrelay/deploy/release.sh" "$a/dist"
	# Nothing of the first build may help the second.
	(umask 077 && GOCACHE=$tmp/cache "$b/cmd/cowrelay/deploy/release.sh" "$b/dist")
	diff "$a/dist/SHA256SUMS" "$b/dist/SHA256SUMS" || { echo "the two builds differ" >&2; return 1; }
	echo "two builds in different folders, the second from an empty cache, are the same:"
	cat "$a/dist/SHA256SUMS"
}

build() {
	local out=$1 stage target os arch name
	mkdir -p "$out"
	out=$(cd "$out" && pwd)
	rm -f "$out"/cowrelay_* "$out/SHA256SUMS"
	stage=$(mktemp -d)
	trap "rm -rf '$stage'" EXIT
	go build -trimpath -buildvcs=false -ldflags "-X main.version=$VERSION" -o "$stage/cowrelay" ./cmd/cowrelay
	go run -trimpath -buildvcs=false -ldflags "-X main.version=$VERSION" ./cmd/cowrelay/deploy/man "$stage/man"
	for target in $TARGETS; do
		os=${target%/*} arch=${target#*/}
		name=cowrelay_${VERSION}_${os}_$arch
		mkdir -p "$stage/$name/completion" "$stage/$name/cmd/cowrelay/docs"
		GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" \
			-o "$stage/$name/cowrelay" ./cmd/cowrelay
		cp README.md LICENSE CHANGELOG.md "$stage/$name"
		cp cmd/cowrelay/docs/*.md "$stage/$name/cmd/cowrelay/docs" # where README's links point
		cp -r "$stage/man" "$stage/$name/man"
		for shell in bash zsh fish; do
			"$stage/cowrelay" completion $shell >"$stage/$name/completion/cowrelay.$shell"
		done
		if [ "$os" = linux ]; then
			cp cmd/cowrelay/deploy/cowrelay.service cmd/cowrelay/deploy/cowrelay.socket "$stage/$name"
		fi
		"${TAR:-tar}" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
			--mode=u=rwX,go=rX -C "$stage" -cf - "$name" | gzip -n -9 >"$out/$name.tar.gz"
		$SBOM bin -json -noserial -notimestamp -std -version "$VERSION" -output "$stage/sbom.json" "$stage/$name/cowrelay" 2>"$stage/sbom.log" ||
			{ cat "$stage/sbom.log" >&2; return 1; }
		# It bears the checksum of the tool, which is not the same on every machine.
		sed '/"tools": \[/,/"component": {/ { /"hashes": \[/,/\],/d }' "$stage/sbom.json" >"$out/$name.sbom.json"
	done
	(cd "$out" && sha256sum cowrelay_* >SHA256SUMS)
}

if [ "${1:-}" = --check ]; then
	check
else
	build "${1:-dist}"
	ls -l "${1:-dist}"
fi
