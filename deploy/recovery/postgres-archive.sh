#!/usr/bin/env bash
# Keeps a finished piece of PostgreSQL's log (WAL). In postgresql.conf:
#
#   wal_level = replica
#   archive_mode = on
#   archive_timeout = 60          # at most a minute is lost with the machine
#   archive_command = '/usr/local/lib/postrider/postgres-archive.sh /mnt/archive "%p" "%f"'
#
# The archive is a folder of another machine's. It succeeds only when the piece is on disk, as PostgreSQL demands, and
# never writes over one that is there.
set -euo pipefail
archive="$1" path="$2" name="$3"

if [ -e "$archive/$name" ]; then
    # Asked twice, because the first answer was lost. Another content under the same name is another cluster's.
    cmp --silent "$path" "$archive/$name"
    exit
fi
part="$archive/.$name.$$"
trap 'rm -f "$part"' EXIT
cp "$path" "$part"
sync "$part"
mv --no-clobber "$part" "$archive/$name"
sync "$archive"
