#!/usr/bin/env bash
# A base backup of PostgreSQL while it serves, verified; prints its folder.
#
#   postgres-backup.sh FOLDER
#
# Whom to ask is told by PGHOST, PGPORT, PGUSER and ~/.pgpass, as for all of PostgreSQL's programs; the account needs
# REPLICATION. Together with the archived log from its beginning on it can be restored to any later time.
set -euo pipefail
target="$1/base-$(date --utc +%Y%m%dT%H%M%SZ)"

# Under another name until it is whole.
part="$target.part"
trap 'rm -rf "$part"' EXIT
pg_basebackup --pgdata="$part" --format=plain --wal-method=stream --checkpoint=fast \
    --manifest-checksums=SHA256 --no-password
pg_verifybackup --quiet "$part"
sync --file-system "$part"
mv --no-target-directory "$part" "$target"
echo "$target"
