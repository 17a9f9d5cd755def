#!/usr/bin/env bash
# Lays a data directory from a base backup and the archived log, to be started up to a point in time.
#
#   postgres-restore.sh BASE ARCHIVE DATA TIME
#
# BASE is a folder that postgres-backup.sh made, ARCHIVE that of postgres-archive.sh, DATA does not exist yet. TIME has
# its zone: '2026-11-23 06:30:00+00'. Run it as the server's account. Then start the server: it reads the log up to
# TIME and begins a timeline of its own. It refuses to start if the archive ends before TIME.
set -euo pipefail
base="$1" archive="$2" data="$3" time="$4"

if [ -e "$data" ]; then
    echo "$data is there already; move it away, and keep it until you are sure" >&2
    exit 1
fi
case "$time" in
*[+-][0-9][0-9]* | *Z) ;;
*)
    echo "TIME needs its zone, such as +00" >&2
    exit 1
    ;;
esac
quoted() { printf "%s" "$1" | sed "s/'/''/g"; }

pg_verifybackup --quiet "$base"
cp --archive "$base" "$data"
chmod 0700 "$data"
# The last setting of a name counts.
cat >>"$data/postgresql.auto.conf" <<CONF
restore_command = 'cp "$(quoted "$archive")/%f" "%p"'
recovery_target_time = '$(quoted "$time")'
recovery_target_action = 'promote'
CONF
touch "$data/recovery.signal"
echo "laid $data; start the server, and wait until pg_is_in_recovery() is false"
