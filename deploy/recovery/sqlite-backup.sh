#!/usr/bin/env bash
# A copy of the embedded database while Postrider serves from it; prints its folder. Needs the sqlite3 program.
#
#   sqlite-backup.sh DATA FOLDER [--with-key]
#
# DATA is database.directory. The copy is of one moment: what was accepted before is in it. The master key is copied
# only if asked for, because with both in one place stored secrets are no secrets: keep it apart, once.
set -euo pipefail
data="$1" target="$2/sqlite-$(date --utc +%Y%m%dT%H%M%SZ)"

umask 0077
part="$target.part"
trap 'rm -rf "$part"' EXIT
mkdir "$part"
# A reader of one snapshot, which no writer waits for. (A copy of the files is not one: the newest commits are in the
# log beside the database.)
sqlite3 "$data/postrider.sqlite3" '.timeout 30000' "VACUUM INTO '$(printf "%s" "$part" | sed "s/'/''/g")/postrider.sqlite3'"
found="$(sqlite3 "$part/postrider.sqlite3" 'PRAGMA integrity_check')"
if [ "$found" != ok ]; then
    echo "the copy is damaged: $found" >&2
    exit 1
fi
if [ "${3:-}" = --with-key ]; then
    cp --preserve=mode "$data/master.key" "$part/"
fi
sync --file-system "$part"
mv --no-target-directory "$part" "$target"
echo "$target"
