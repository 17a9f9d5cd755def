#!/usr/bin/env bash
# Puts a copy that sqlite-backup.sh made in the place of the database. Postrider must not run.
#
#   sqlite-restore.sh BACKUP DATA
#
# What was there stays beside it, under another name. The master key is the one in DATA, or else the one in BACKUP, or
# else security.master_key of the configuration. Run it as Postrider's account.
set -euo pipefail
backup="$1" data="$2"

umask 0077
mkdir -p "$data"
exec 9>>"$data/postrider.lock"
if ! flock --nonblock 9; then
    echo "a Postrider serves from $data; stop it first" >&2
    exit 1
fi
before="$data/before-restore-$(date --utc +%Y%m%dT%H%M%SZ)"
mkdir "$before"
for file in postrider.sqlite3 postrider.sqlite3-wal postrider.sqlite3-shm; do
    # The log of the old database must never be read with the new one.
    if [ -e "$data/$file" ]; then
        mv "$data/$file" "$before/"
    fi
done
cp "$backup/postrider.sqlite3" "$data/.postrider.sqlite3.part"
sync "$data/.postrider.sqlite3.part"
mv "$data/.postrider.sqlite3.part" "$data/postrider.sqlite3"
if [ ! -e "$data/master.key" ] && [ -e "$backup/master.key" ]; then
    cp --preserve=mode "$backup/master.key" "$data/"
fi
sync "$data"
echo "restored $data; what was there is in $before"
