# What the pod of `build-push-ghcr` runs, with the parameters in its environment.
# REPOSITORY, REVISION, IMAGE, PUSH_TO, COMPRESSION, PYTHON_IMAGE, RUNTIME_IMAGE; tells commit, digest and
# image in /out.
set -eu

fail() {
    echo "error: $1" >&2
    printf '%s\n' "$1" >/dev/termination-log
    exit "$2"
}

# What begins with a dash would be an option of git.
case "$REPOSITORY" in "" | -*) fail "repository: '$REPOSITORY' is not a git URL" 2 ;; esac
case "$REVISION" in "" | -*) fail "revision: '$REVISION' is not a commit, branch or tag" 2 ;; esac
case "$IMAGE" in
"" | -* | *[!a-z0-9._:/-]*) fail "image: '$IMAGE' is not a name such as ghcr.io/owner/name" 2 ;;
esac
target=${PUSH_TO:-$IMAGE}
case "$target" in
-* | *[!a-z0-9._:/-]*) fail "push-to: '$target' is not a name such as ghcr.io/owner/name" 2 ;;
esac
case "$PYTHON_IMAGE" in
-* | *[!a-z0-9._:/@-]*) fail "python-image: '$PYTHON_IMAGE' is not a name such as python@sha256:..." 2 ;;
esac
case "$RUNTIME_IMAGE" in
-* | *[!A-Za-z0-9._:/@-]*) fail "runtime-image: '$RUNTIME_IMAGE' is not a name such as ghcr.io/owner/name@sha256:..." 2 ;;
esac
case "$COMPRESSION" in
zstd) level=11 ;;
gzip) level=9 ;;
*) fail "compression: '$COMPRESSION' is not zstd or gzip" 2 ;;
esac

export GIT_TERMINAL_PROMPT=0
source=/build/source
git init --quiet "$source"
cd "$source"
if [ -f /credentials/git/credentials ]; then
    git config credential.helper 'store --file /credentials/git/credentials'
fi
git remote add origin "$REPOSITORY"
# One commit is enough; a server that gives none by its (short) digest is asked for all of them.
if git fetch --quiet --depth 1 origin "$REVISION" 2>/build/fetch.log; then
    commit=$(git rev-parse --verify --quiet 'FETCH_HEAD^{commit}')
elif git fetch --quiet --tags origin '+refs/heads/*:refs/remotes/origin/*' 2>/build/fetch.log; then
    commit=$(git rev-parse --verify --quiet "$REVISION^{commit}") ||
        fail "revision: '$REVISION' is no commit, branch or tag of $REPOSITORY" 2
else
    cat /build/fetch.log >&2
    fail "repository: $REPOSITORY cannot be read: $(tail -n 1 /build/fetch.log)" 2
fi
git checkout --quiet --detach "$commit"
# The repository may be a project of someone's own, whose Dockerfile begins FROM the runtime's image.
version='' engine=''
if [ -f trading_runtime/__init__.py ]; then
    version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' trading_runtime/__init__.py)
    engine=$(sed -n 's/^nautilus-trader==\([^ ]*\).*/\1/p' requirements.txt | head -n 1)
elif [ -z "$RUNTIME_IMAGE" ] && grep -q '^ARG RUNTIME_IMAGE$' Dockerfile; then
    fail "runtime-image: is missing; the Dockerfile of $REPOSITORY begins FROM it" 2
fi

# No time of now, of the clone or of the commit gets in: the same sources give the same digest, and
# layers that a commit leaves alone are not pulled again.
if ! buildctl-daemonless.sh build --progress plain \
    --frontend dockerfile.v0 --local context=. --local dockerfile=. \
    --opt build-arg:SOURCE_DATE_EPOCH=0 \
    --opt "build-arg:REVISION=$commit" \
    --opt "build-arg:VERSION=$version" \
    --opt "build-arg:ENGINE=$engine" \
    ${PYTHON_IMAGE:+--opt "build-arg:PYTHON_IMAGE=$PYTHON_IMAGE"} \
    ${RUNTIME_IMAGE:+--opt "build-arg:RUNTIME_IMAGE=$RUNTIME_IMAGE"} \
    --output "type=image,name=$target:$commit,push=true,oci-mediatypes=true,compression=$COMPRESSION,compression-level=$level,rewrite-timestamp=true" \
    --metadata-file /build/metadata.json 2>/build/build.log; then
    cat /build/build.log >&2
    fail "the image was not built and pushed: $(grep -i 'error' /build/build.log | tail -n 1 | cut -c 1-500)" 1
fi
tail -n 20 /build/build.log >&2
digest=$(sed -n 's/.*"containerimage.digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' /build/metadata.json)
[ -n "$digest" ] || fail "BuildKit told no digest" 1
printf '%s' "$commit" >/out/commit
printf '%s' "$digest" >/out/digest
printf '%s' "$IMAGE@$digest" >/out/image
echo "$IMAGE@$digest is commit $commit of $REPOSITORY" >&2
