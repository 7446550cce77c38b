#!/bin/sh
# The store on a branch of its own, so that every run of CI sees the same incumbent. Needs git and nothing else.
#
#   sh ci/store.sh fetch    before the gate: .incumbent becomes a copy of the branch; a store that is no copy is left alone
#   sh ci/store.sh save     after it, on the main branch only: the copy becomes the branch; refused if another was faster
#
# STORE (.incumbent), STORE_BRANCH (incumbent-store) and STORE_REMOTE (origin) may be set. There must be no server that
# writes to this store: docs/ci.md says what to do once there is one.
set -eu

store=${STORE:-.incumbent}
branch=${STORE_BRANCH:-incumbent-store}
remote=${STORE_REMOTE:-origin}
known=refs/incumbent/store # the commit that was fetched, in this clone
copy=$store/.copy          # says that the folder is a copy

fetch() {
    if [ -e "$store" ] && [ ! -e "$copy" ]; then
        echo "$store is a store of its own, no copy of the branch $branch: move it away first" >&2
        exit 1
    fi
    found=0
    git ls-remote --exit-code "$remote" "refs/heads/$branch" >/dev/null || found=$?
    rm -rf "$store"
    mkdir -p "$store"
    case $found in
    0)
        git fetch --quiet --depth 1 "$remote" "+refs/heads/$branch:$known"
        git archive "$known" | tar -x -f - -C "$store"
        ;;
    2)
        echo "there is no branch $branch yet: the store begins empty" >&2
        git update-ref -d "$known"
        ;;
    *)
        rmdir "$store"
        echo "the branch $branch could not be asked for" >&2
        exit 1
        ;;
    esac
    : >"$copy"
}

save() {
    if [ ! -e "$copy" ]; then
        echo "$store was not fetched: nothing is saved" >&2
        exit 1
    fi
    index=$(git rev-parse --absolute-git-dir)/incumbent-store-index
    rm -f "$index"
    GIT_INDEX_FILE=$index git --work-tree="$store" add --all --force -- . ':!.copy'
    tree=$(GIT_INDEX_FILE=$index git write-tree)
    parent=$(git rev-parse --verify --quiet "$known" || true)
    commit=$(git -c user.name=incumbent -c user.email=incumbent@localhost \
        commit-tree "$tree" ${parent:+-p "$parent"} -m "Store after $(git rev-parse --short HEAD)")
    git push --quiet "$remote" "$commit:refs/heads/$branch" # not forced: refused when the branch has moved on
    git update-ref "$known" "$commit"
}

case ${1:-} in
fetch | save) "$1" ;;
*)
    echo "usage: store.sh fetch|save" >&2
    exit 2
    ;;
esac
